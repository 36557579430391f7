// The places of the page: its head, the runs, the controls, and what is said below.

import { button, choice, make } from "./controls.js";

export class Layout {
  /** `act` has what the tools in the head do. */
  constructor(page, state, stages, panel, { address, set, copy }) {
    this.themes = choice({
      label: "Colors",
      options: { auto: "Auto", light: "Light", dark: "Dark" },
      value: state.theme,
      change: (theme) => set({ theme }),
    });
    this.status = make("p", { className: "ebm-status", role: "status", "aria-live": "polite" });
    this.readout = make("p", { className: "ebm-readout", "aria-hidden": "true" });
    const tools = [this.themes.element];
    if (address) tools.unshift(button("Copy link", copy, { title: "The address of this view" }));
    const head = make(
      "header",
      { className: "ebm-head" },
      make("div", {}, make("h1", {}, page.title), make("p", {}, page.subtitle ?? "")),
      make("div", { className: "ebm-row" }, ...tools),
    );
    const elements = stages.map(({ element }) => element);
    this.body = make(
      "div",
      { className: `ebm-body ${stages.length > 1 ? "ebm-two" : "ebm-one"}` },
      head,
      make(
        "div",
        { className: "ebm-main-row" },
        make("div", { className: "ebm-stages" }, ...elements),
        panel.element,
      ),
      make("div", { className: "ebm-foot" }, this.readout, this.status),
    );
  }
}
