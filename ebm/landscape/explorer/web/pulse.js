// When to draw: at the screen's pace while something moves, and not where nobody looks.

export class Pulse {
  /** `tick` draws, and returns whether it wants to be called again for the next frame. */
  constructor(root, tick) {
    this.root = root;
    this.tick = tick;
    this.times = [];
    this.visible = true;
    this.watched = new IntersectionObserver((entries) => {
      this.visible = entries.at(-1).isIntersecting;
      this.ask();
    });
    this.watched.observe(root);
    this.seen = () => this.ask();
    document.addEventListener("visibilitychange", this.seen);
  }

  /** Draw soon. */
  ask() {
    if (this.closed || this.frame) return;
    this.frame = requestAnimationFrame((time) => {
      this.frame = null;
      if (!this.visible || document.hidden || !this.root.clientWidth) return;
      const again = this.tick();
      this.count(time, again);
      if (again) this.ask();
    });
  }

  /** Keep the times of the last second of frames. */
  count(time, moving) {
    if (!moving) this.times = [];
    else this.times.push(time);
    while (this.times.length > 2 && time - this.times[0] > 1000) this.times.shift();
  }

  /** Return how many frames were drawn in the last second. */
  rate() {
    const { times } = this;
    return times.length < 2 ? 0 : (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
  }

  close() {
    this.closed = true;
    this.watched.disconnect();
    document.removeEventListener("visibilitychange", this.seen);
    cancelAnimationFrame(this.frame);
  }
}
