// The explorer of energies: a page of its own, or a widget in a notebook.

import { read, starting, written } from "./address.js";
import { shortened } from "./charts.js";
import { themed } from "./colors.js";
import { button, choice, make, slider } from "./controls.js";
import { floatsOf } from "./decode.js";
import { ChainView, ImagePlane, PictureView } from "./images.js";
import { totalVariation } from "./law.js";
import { Panel } from "./panel.js";
import { Random } from "./random.js";
import { CELLS, Run } from "./run.js";
import { Stage } from "./stage.js";

const DROPPED = 40;
const PAUSE = 300;
const ROLL = 90;
const DRAFT = 180;
const PAINTED = ["levels", "data", "step", "leap", "sampler", "turn", "tilt", "zoom", "theme"];

/** Build the explorer in an element; `address` keeps the state in the page's address. */
export function explore(root, page, { address = false, changed = () => {} } = {}) {
  root.explorer?.close();
  root.explorer = new Explorer(root, page, { address, changed });
  return root.explorer;
}

/** Show the explorer in a notebook, as anywidget asks for it. */
function render({ model, el }) {
  const page = JSON.parse(model.get("page"));
  const changed = (text) => {
    model.set("state", text);
    model.save_changes();
  };
  const explorer = explore(el, page, { changed });
  explorer.restore(model.get("state"));
  const listen = () => explorer.restore(model.get("state"));
  model.on("change:state", listen);
  return () => {
    model.off("change:state", listen);
    explorer.close();
  };
}

export default { render };

class Explorer {
  constructor(root, page, { address, changed }) {
    this.root = root;
    this.page = page;
    this.address = address;
    this.changed = changed;
    this.times = [];
    this.misshapen = true;
    page.decodedPoints = page.points ? floatsOf(page.points) : null;
    this.runs = page.runs.map((run) => new Run(page, run, 1));
    for (const run of this.runs) run.shape(-1, []);
    this.start = starting(this.firstState());
    this.state = address ? read(window.location.hash, this.start) : structuredClone(this.start);
    this.build();
    this.listen();
    this.fresh();
    this.reset();
    this.ask();
  }

  /** Return what the state is before anyone has changed it. */
  firstState() {
    const step = Math.min(...this.runs.map((run) => run.calmStep()));
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const leap = Number(Math.sqrt(2 * step).toPrecision(2));
    return { step, leap, playing: !still, ...this.page.start };
  }

  build() {
    const act = {
      state: () => this.state,
      set: (changes) => this.set(changes),
      step: () => this.stepOnce(),
      scatter: (count) => this.scatter(count),
      clear: () => this.clear(),
      roll: () => this.roll(),
    };
    const titled = this.runs.length > 1;
    const beside = this.images();
    this.stages = this.runs.map(
      (run) =>
        new Stage(run, this.page, {
          titled,
          beside,
          drop: (x, y) => this.drop(x, y),
          point: (x, y, options) => this.point(x, y, options),
          turn: (by) => this.turn(by),
        }),
    );
    this.panel = new Panel(this.page, this.runs, this.state, act);
    this.status = make("p", { className: "ebm-status", role: "status", "aria-live": "polite" });
    this.readout = make("p", { className: "ebm-readout", "aria-hidden": "true" });
    this.body = make(
      "div",
      { className: `ebm-body ${titled ? "ebm-two" : "ebm-one"}` },
      this.head(),
      make(
        "div",
        { className: "ebm-main-row" },
        make("div", { className: "ebm-stages" }, ...this.stages.map(({ element }) => element)),
        this.panel.element,
      ),
      make("div", { className: "ebm-foot" }, this.readout, this.status),
    );
    this.root.classList.add("ebm");
    this.root.replaceChildren(this.body);
  }

  head() {
    this.themes = choice({
      label: "Colors",
      options: { auto: "Auto", light: "Light", dark: "Dark" },
      value: this.state.theme,
      change: (theme) => this.set({ theme }),
    });
    const tools = [this.themes.element];
    if (this.address)
      tools.unshift(button("Copy link", () => this.copy(), { title: "The address of this view" }));
    return make(
      "header",
      { className: "ebm-head" },
      make("div", {}, make("h1", {}, this.page.title), make("p", {}, this.page.subtitle ?? "")),
      make("div", { className: "ebm-row" }, ...tools),
    );
  }

  /** Return what images add to the page; there is one run then. */
  images() {
    const found = [];
    if (this.page.plane) {
      this.pictures = new PictureView(new ImagePlane(this.page.plane), (x, y) =>
        this.point(x, y, { aloud: true }),
      );
      found.push(this.pictures.element);
    }
    if (this.page.chain) {
      const change = (changes) => this.set(changes);
      this.chain = new ChainView(this.page.chain, { slider, choice, state: this.state, change });
      found.push(this.chain.element);
    }
    return found;
  }

  listen() {
    this.bound = new AbortController();
    const { signal } = this.bound;
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.repaint(), { signal });
    document.addEventListener("visibilitychange", () => this.ask(), { signal });
    if (this.address) {
      window.addEventListener("hashchange", () => this.restore(window.location.hash), { signal });
    }
    this.sized = new ResizeObserver(() => this.repaint());
    this.sized.observe(this.body);
    this.visible = true;
    this.watched = new IntersectionObserver((entries) => {
      this.visible = entries.at(-1).isIntersecting;
      this.ask();
    });
    this.watched.observe(this.root);
  }

  /** Stop everything that runs by itself. */
  close() {
    this.closed = true;
    this.bound.abort();
    this.sized.disconnect();
    this.watched.disconnect();
    clearTimeout(this.writing);
    clearTimeout(this.refining);
    clearInterval(this.rolling);
    cancelAnimationFrame(this.frame);
  }

  // The state

  /** Change some of the state, and whatever follows from it. */
  set(changes) {
    Object.assign(this.state, changes);
    const names = Object.keys(changes);
    const any = (...those) => names.some((name) => those.includes(name));
    if (any("seed", "drops", "scattered")) this.reset();
    else if (any("weights", "frame", "temperature", "sampler", "step", "leap")) {
      for (const { particles } of this.runs) particles.forget();
    }
    if (any("cursor")) this.follow();
    if (any("weights", "frame")) this.misshapen = true;
    if (any("view", "temperature")) this.unexposed = true;
    this.unpainted ||= any(...PAINTED);
    if (any("playing")) this.say(this.state.playing ? "The particles move." : "Paused.");
    this.panel.show(this.state);
    this.themes.show(this.state.theme);
    this.ask();
    this.write();
  }

  /** Take the state from a text, such as what follows # in an address. */
  restore(text) {
    if (text.replace(/^#/, "") === written(this.state, this.start)) return;
    this.set(read(text, this.start));
  }

  /** Write the state into the address, soon: browsers allow few changes a second. */
  write() {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => {
      const text = written(this.state, this.start);
      this.changed(text);
      if (!this.address) return;
      try {
        window.history.replaceState(null, "", `#${text}`);
      } catch {
        this.address = false; // pages inside pages may have no address of their own
      }
    }, PAUSE);
  }

  async copy() {
    const link = `${window.location.href.split("#")[0]}#${written(this.state, this.start)}`;
    try {
      await navigator.clipboard.writeText(link);
      this.say("The link to this view is on the clipboard.");
    } catch {
      window.prompt("The link to this view:", link);
    }
  }

  say(words) {
    this.status.textContent = words;
  }

  // Particles

  /** Put all particles where the state says, as at the beginning. */
  reset() {
    const { seed, scattered, drops } = this.state;
    const [[left, right], [bottom, top]] = this.page.bounds;
    for (const run of this.runs) {
      run.particles.restart(seed);
      for (let k = 0; k + 1 < drops.length; k += 2)
        run.particles.drop(run.surface, drops[k], drops[k + 1]);
      const random = new Random(seed + 1);
      for (let k = 0; k < scattered; k++) {
        const x = left + random.uniform() * (right - left);
        const y = bottom + random.uniform() * (top - bottom);
        run.particles.drop(run.surface, x, y);
      }
    }
    this.rested = false;
    this.follow();
  }

  /** Drop one particle at a point of the box, on every surface. */
  drop(x, y) {
    const dropped = this.runs.filter((run) => run.particles.drop(run.surface, x, y)).length;
    const drops = [...this.state.drops, Number(x.toPrecision(5)), Number(y.toPrecision(5))];
    this.state.drops = drops.slice(-2 * DROPPED);
    this.rested = false;
    const [run] = this.runs;
    const place = `(${shortened(x)}, ${shortened(y)})`;
    const energy = shortened(this.energyAt(x, y));
    this.say(
      dropped
        ? `Particle ${run.particles.count} dropped at ${place}, energy ${energy}.`
        : `No particle can lie at ${place}: the energy there is not finite.`,
    );
    this.ask();
    this.write();
  }

  /** Scatter particles evenly over the box. */
  scatter(count) {
    this.set({ scattered: this.state.scattered + count });
    this.say(`${this.runs[0].particles.count.toLocaleString("en")} particles.`);
  }

  clear() {
    this.set({ scattered: 0, drops: [] });
    this.say("No particles.");
  }

  stepOnce() {
    this.set({ playing: false });
    this.advance(1);
    this.say(`Move ${this.runs[0].particles.moves}.`);
    this.ask();
  }

  /** Move all particles some times. */
  advance(times) {
    this.fresh();
    const { sampler, temperature, step, leap } = this.state;
    const stepSize = sampler === "hmc" && temperature > 0 ? leap : step;
    for (const { particles, surface } of this.runs) {
      if (particles.count) particles.advance(surface, { sampler, temperature, stepSize }, times);
    }
  }

  /** Say where a particle came to rest, once. */
  rest() {
    const { particles, surface } = this.runs[0];
    if (this.rested || this.state.temperature > 0 || !particles.count) return;
    if (particles.steepest() * this.state.step > 1e-6 * (surface.right - surface.left)) return;
    this.rested = true;
    const last = particles.count - 1;
    const place = `(${shortened(particles.x[last])}, ${shortened(particles.y[last])})`;
    this.say(
      `At rest: the last particle at ${place}, energy ${shortened(particles.energy[last])}.`,
    );
  }

  // The pointer, the crosshair and the camera

  /** Move the crosshair to a point of the box. */
  point(x, y, { aloud = false } = {}) {
    this.state.cursor = [Number(x.toPrecision(4)), Number(y.toPrecision(4))];
    this.follow();
    if (aloud) this.say(this.readout.textContent);
    this.ask();
    this.write();
  }

  follow() {
    const [x, y] = this.state.cursor;
    const known = x !== undefined && y !== undefined;
    for (const { map } of this.stages) map.cursor = known ? [x, y] : null;
    if (!known) {
      if (this.pictures)
        this.pictures.show(
          ...this.page.plane.corners[0],
          this.energyAt(...this.page.plane.corners[0]),
        );
      return;
    }
    const energies = this.runs.map((run) => shortened(look(run.surface, x, y)[0]));
    this.readout.textContent = `x ${shortened(x)}, y ${shortened(y)}, E ${energies.join(" and ")}`;
    this.pictures?.show(x, y, this.energyAt(x, y));
  }

  turn({ turn = 0, tilt = 0, zoom = 1 }) {
    const { state } = this;
    const around = ((state.turn + turn + 540) % 360) - 180;
    this.set({
      turn: Math.round(around * 10) / 10,
      tilt: Math.round(Math.min(Math.max(state.tilt + tilt, 8), 84) * 10) / 10,
      zoom: Number(Math.min(Math.max(state.zoom * zoom, 0.6), 2.5).toFixed(3)),
    });
  }

  /** Play the film of training, or stop it. */
  roll() {
    const many = Math.max(...this.runs.map((run) => run.frames));
    const stop = () => {
      clearInterval(this.rolling);
      this.rolling = null;
      this.panel.roll.textContent = "Play training";
    };
    if (this.rolling) return stop();
    let frame = this.state.frame < 0 ? 0 : this.state.frame;
    this.panel.roll.textContent = "Stop";
    this.rolling = setInterval(() => {
      frame += 1;
      this.set({ frame: frame >= many - 1 ? -1 : frame });
      if (frame >= many - 1) stop();
    }, ROLL);
  }

  // Drawing

  theme() {
    const { theme } = this.state;
    const preferred = window.matchMedia("(prefers-color-scheme: dark)").matches;
    const dark = theme === "dark" || (theme === "auto" && preferred);
    this.root.dataset.theme = dark ? "dark" : "light";
    return themed(this.page.palette, dark);
  }

  /** Bring the surfaces to the state, where they are behind it. */
  fresh() {
    const { frame, weights, view, temperature } = this.state;
    if (this.misshapen) {
      let from = 0;
      for (const run of this.runs) {
        run.shape(this.frameOf(run, frame), weights.slice(from, from + run.terms.length));
        from += run.terms.length;
      }
      this.misshapen = false;
      this.unexposed = true;
      this.rested = false;
      this.follow();
    }
    if (this.unexposed) {
      for (const run of this.runs) run.expose(view, temperature);
      this.unexposed = false;
      this.unpainted = true;
    }
  }

  /** Return the frame of a run that lies as far through training as one of the longest run. */
  frameOf(run, frame) {
    const many = Math.max(...this.runs.map(({ frames }) => frames));
    if (frame < 0 || frame >= many - 1) return -1;
    return Math.round((frame / (many - 1)) * (run.frames - 1));
  }

  /** Draw everything anew, soon. */
  repaint() {
    this.unpainted = true;
    this.ask();
  }

  /** Draw soon. */
  ask() {
    if (this.closed || this.frame) return;
    this.frame = requestAnimationFrame((time) => {
      this.frame = null;
      this.tick(time);
    });
  }

  /** Move the particles and draw: once, or again and again while they move. */
  tick(time) {
    const shown = this.visible && !document.hidden && this.root.clientWidth > 0;
    if (!shown) return;
    const { playing, speed, temperature } = this.state;
    const some = this.runs.some(({ particles }) => particles.count > 0);
    const moving = playing && some && !(temperature === 0 && this.rested);
    this.fresh();
    if (moving) this.advance(speed);
    const theme = this.theme();
    if (this.unpainted) this.paint(theme);
    for (const stage of this.stages) stage.drawMoving(this.state, theme);
    this.chain?.show(this.state.record, this.state.chain, theme);
    this.rest();
    this.clock(time, moving);
    this.tell(moving);
    if (moving) this.ask();
  }

  /** Draw the surfaces: as a draft while they change, then finely. */
  paint(theme) {
    const now = performance.now();
    const draft = now - (this.painted ?? 0) < DRAFT;
    for (const stage of this.stages) stage.drawSurface(this.state, theme, { draft });
    this.painted = performance.now();
    this.unpainted = false;
    clearTimeout(this.refining);
    if (draft) this.refining = setTimeout(() => this.repaint(), DRAFT);
  }

  /** Keep the times of the last second of frames. */
  clock(time, moving) {
    if (!moving) this.times = [];
    else this.times.push(time);
    while (this.times.length > 2 && time - this.times[0] > 1000) this.times.shift();
  }

  /** Write the numbers of the particles, four times a second. */
  tell(moving) {
    const now = performance.now();
    if (moving && now - (this.told ?? 0) < 250) return;
    this.told = now;
    const { particles } = this.runs[0];
    const each = (value) => this.runs.map((run) => value(run)).join(" and ");
    const rows = [["Particles", particles.count.toLocaleString("en")]];
    if (particles.count) {
      const share = ({ particles: p }) =>
        p.tried ? `${Math.round((100 * p.accepted) / p.tried)} %` : "–";
      const mean = ({ particles: p }) => shortened(p.history.at(-1)?.mean ?? NaN);
      rows.push(["Accepted", each(share)], ["Mean energy", each(mean)]);
      rows.push(["Exact mean", each(({ law }) => shortened(law.mean))]);
      const apart = (run) => (run.particles.counts.total ? this.distance(run).toFixed(3) : "–");
      rows.push(["Distance from exact", each(apart)]);
      rows.push(["Frames a second", moving ? String(Math.round(this.framesPerSecond())) : "–"]);
    }
    this.panel.tell(rows);
  }

  /** Return how far the particles' recent places are from the exact law, on 16 x 16 cells. */
  distance(run) {
    return totalVariation(run.particles.counts.shares(CELLS), run.law.binned(CELLS));
  }

  // For scripts and tests: what a person sees, as numbers

  /** Return how many frames were drawn in the last second. */
  framesPerSecond() {
    const { times } = this;
    return times.length < 2 ? 0 : (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
  }

  /** Return the places of the particles of a run. */
  particles(run = 0) {
    const { x, y, count } = this.runs[run].particles;
    return Array.from({ length: count }, (_, i) => [x[i], y[i]]);
  }

  /** Return the energy of a run at a point of the box, and its gradient. */
  energyAt(x, y, run = 0) {
    this.fresh();
    return look(this.runs[run].surface, x, y)[0];
  }

  /** Return the exact masses of cells x cells parts of the box, row by row from below. */
  law(cells, run = 0) {
    this.fresh();
    return Array.from(this.runs[run].law.binned(cells));
  }

  /** Return the shares of the particles' recent places in the same parts: 2, 4, 8, 16 or 32. */
  histogram(cells, run = 0) {
    return Array.from(this.runs[run].particles.counts.shares(cells));
  }
}

/** Write E, dE/dx, dE/dy at a point. */
function look(surface, x, y) {
  const here = new Float64Array(3);
  surface.look(x, y, here);
  return here;
}
