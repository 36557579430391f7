// Where the state of the page is kept: in its address, and with whoever else listens.

const PAUSE = 300;

export class Bookmark {
  constructor({ address, changed }) {
    this.address = address;
    this.changed = changed;
  }

  /** Keep a state, soon: browsers allow few changes of the address a second. */
  keep(text) {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => {
      this.changed(text);
      if (!this.address) return;
      try {
        window.history.replaceState(null, "", `#${text}`);
      } catch {
        this.address = false; // pages inside pages may have no address of their own
      }
    }, PAUSE);
  }

  /** Put the address of a state on the clipboard, or show it where that is not allowed. */
  async copy(text) {
    const link = `${window.location.href.split("#")[0]}#${text}`;
    try {
      await navigator.clipboard.writeText(link);
      return true;
    } catch {
      window.prompt("The link to this view:", link);
      return false;
    }
  }

  close() {
    clearTimeout(this.writing);
  }
}
