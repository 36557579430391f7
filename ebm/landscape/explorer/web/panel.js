// The panel of controls: it shows the state, and asks for changes of it.

import { button, choice, linear, logarithmic, make, slider, tick } from "./controls.js";
import { shortened } from "./charts.js";
import { SAMPLERS } from "./samplers.js";

const SCATTERED = [200, 2000];

export class Panel {
  /** `act` has what the buttons do, and `set` which changes the state. */
  constructor(page, runs, state, act) {
    this.page = page;
    this.runs = runs;
    this.act = act;
    this.shown = {};
    this.element = make(
      "div",
      { className: "ebm-panel", role: "group", "aria-label": "Controls" },
      this.particles(state),
      this.sliders(state),
      this.surface(state),
      ...this.terms(state),
      ...this.film(state),
    );
    this.show(state);
  }

  card(title, ...children) {
    return make("section", { className: "ebm-card" }, make("h3", {}, title), ...children);
  }

  /** Return a control's element and remember how to show a value in it. */
  keep(name, control) {
    this.shown[name] = control;
    return control.element;
  }

  particles(state) {
    const { act } = this;
    this.play = button("Pause", () => act.set({ playing: !act.state().playing }), { main: true });
    const row = make(
      "div",
      { className: "ebm-row" },
      this.play,
      button("Step", act.step, { title: "Move once, and wait" }),
      ...SCATTERED.map((n) =>
        button(`+ ${n.toLocaleString("en")}`, () => act.scatter(n), {
          title: `Scatter ${n} particles over the box`,
        }),
      ),
      button("Clear", act.clear, { title: "Take all particles away" }),
    );
    const names = Object.fromEntries(
      Object.entries(SAMPLERS).map(([key, { name }]) => [key, name]),
    );
    const sampler = choice({
      label: "They move by",
      options: names,
      value: state.sampler,
      change: (key) => act.set({ sampler: key }),
    });
    this.numbers = make("dl", { className: "ebm-numbers" });
    const hint = make(
      "p",
      { className: "ebm-caption" },
      "Click the map or the surface to drop one.",
    );
    return this.card("Particles", hint, row, this.keep("sampler", sampler), this.numbers);
  }

  sliders(state) {
    const { act } = this;
    const [[left, right]] = this.page.bounds;
    const wide = right - left;
    this.temperature = slider({
      label: "Temperature",
      hint: "T in exp(-E / T); at 0 particles only descend",
      value: state.temperature,
      ...logarithmic(0.01, 100, { zero: true }),
      say: (value) => (value === 0 ? "0, descent" : shortened(value)),
      change: (temperature) => act.set({ temperature }),
    });
    const steps = (label, name, low, high) =>
      slider({
        label,
        hint: "As the sampler of the same name in ebm.samplers",
        value: state[name],
        ...logarithmic(low, high),
        say: shortened,
        change: (value) => act.set({ [name]: value }),
      });
    this.step = steps("Step size", "step", 1e-5 * wide * wide, 0.1 * wide * wide);
    this.leap = steps("Step size of a leap", "leap", 1e-3 * wide, 0.3 * wide);
    const speed = slider({
      label: "Moves a frame",
      value: state.speed,
      places: 63,
      ...linear(1, 64),
      say: String,
      change: (value) => act.set({ speed: Math.round(value) }),
    });
    this.shown.temperature = this.temperature;
    this.shown.step = this.step;
    this.shown.leap = this.leap;
    this.warned = make("p", { className: "ebm-caption" });
    return this.card(
      "Sampler",
      this.temperature.element,
      this.step.element,
      this.leap.element,
      this.keep("speed", speed),
      this.warned,
    );
  }

  surface(state) {
    const { act, page } = this;
    const view = choice({
      label: "Show",
      options: { energy: "Energy", density: "Density" },
      value: state.view,
      change: (key) => act.set({ view: key }),
    });
    const ticks = [
      this.keep(
        "levels",
        tick({
          label: "Half and 90 % of the mass",
          value: state.levels,
          change: (levels) => act.set({ levels }),
        }),
      ),
    ];
    if (page.points) {
      ticks.push(
        this.keep(
          "data",
          tick({ label: "Data", value: state.data, change: (data) => act.set({ data }) }),
        ),
      );
    }
    return this.card(
      "Surface",
      this.keep("view", view),
      make("div", { className: "ebm-row" }, ...ticks),
    );
  }

  terms(state) {
    const named = this.runs.flatMap((run, r) => run.terms.map((term, k) => ({ run, r, term, k })));
    if (!named.length || this.runs.every((run) => run.terms.length < 2)) return [];
    this.weights = named.map(({ run, term }, k) =>
      slider({
        label: this.runs.length > 1 ? `${run.name}: ${term.name}` : term.name,
        hint: "Weight of the term, as a multiple of its own",
        value: state.weights[k] ?? 1,
        places: 60,
        ...linear(0, 3),
        say: (value) => `× ${value.toFixed(2)}`,
        change: (weight) => reweigh(this.act, k, weight, named.length),
      }),
    );
    const reset = button("Reset weights", () => this.act.set({ weights: [] }));
    this.weighed = make("p", { className: "ebm-caption" });
    const elements = this.weights.map(({ element }) => element);
    return [this.card("Terms of the energy", ...elements, reset, this.weighed)];
  }

  film(state) {
    const many = Math.max(...this.runs.map((run) => run.frames));
    if (many < 2) return [];
    const longest = this.runs.find((run) => run.frames === many);
    const frame = slider({
      label: "Training step",
      value: state.frame < 0 ? many - 1 : state.frame,
      places: many - 1,
      toValue: (place) => Math.round(place * (many - 1)),
      toPlace: (value) => (value < 0 ? 1 : value / (many - 1)),
      say: (value) => longest.steps[value < 0 ? many - 1 : value].toLocaleString("en"),
      change: (value) => this.act.set({ frame: value === many - 1 ? -1 : value }),
    });
    this.roll = button("Play training", () => this.act.roll(), { main: true });
    const words = make(
      "p",
      { className: "ebm-caption" },
      `${many} pictures of the surface while it was trained, on one scale.`,
    );
    return [this.card("Training", this.keep("frame", frame), this.roll, words)];
  }

  /** Show the state in every control. */
  show(state) {
    for (const [name, control] of Object.entries(this.shown)) control.show(state[name]);
    const leaping = state.sampler === "hmc" && state.temperature > 0;
    this.step.element.hidden = leaping;
    this.leap.element.hidden = !leaping;
    this.play.textContent = state.playing ? "Pause" : "Play";
    this.play.setAttribute("aria-pressed", String(state.playing));
    const weighable = this.runs.every((run) => run.weighable(state.frame));
    this.weights?.forEach((control, k) => {
      control.show(state.weights[k] ?? 1);
      control.input.disabled = !weighable;
    });
    if (this.weighed) {
      this.weighed.textContent = weighable ? "" : "The terms are kept for the last training step.";
    }
  }

  /** Say which numbers the particles have reached. */
  tell(rows) {
    const cells = rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
    this.numbers.replaceChildren(...cells);
  }
}

function reweigh(act, k, weight, count) {
  const weights = Array.from({ length: count }, (_, i) => act.state().weights[i] ?? 1);
  weights[k] = weight;
  act.set({ weights: weights.every((value) => value === 1) ? [] : weights });
}
