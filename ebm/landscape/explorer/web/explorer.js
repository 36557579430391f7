// The explorer of energies: its state, and what follows from each change of it.

import { read, starting, written } from "./address.js";
import { shortened } from "./charts.js";
import { themed } from "./colors.js";
import { Bookmark } from "./bookmark.js";
import { choice, slider } from "./controls.js";
import { floatsOf } from "./decode.js";
import { ChainView, ImagePlane, PictureView } from "./images.js";
import { Layout } from "./layout.js";
import { distanceOf, numbersOf, restOf } from "./numbers.js";
import { Panel } from "./panel.js";
import { Pulse } from "./pulse.js";
import { Random } from "./random.js";
import { Run } from "./run.js";
import { Stage } from "./stage.js";

const DROPPED = 40;
const ROLL = 90;
const DRAFT = 180;
const PAINTED = ["levels", "data", "step", "leap", "sampler", "turn", "tilt", "zoom", "theme"];

export class Explorer {
  constructor(root, page, { address, changed }) {
    this.root = root;
    this.page = page;
    this.bookmark = new Bookmark({ address, changed });
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
    this.pulse.ask();
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
    this.layout = new Layout(this.page, this.state, this.stages, this.panel, {
      address: this.bookmark.address,
      set: act.set,
      copy: () => this.copy(),
    });
    this.root.classList.add("ebm");
    this.root.replaceChildren(this.layout.body);
    this.pulse = new Pulse(this.root, () => this.tick());
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
    if (this.bookmark.address) {
      window.addEventListener("hashchange", () => this.restore(window.location.hash), { signal });
    }
    this.sized = new ResizeObserver(() => this.repaint());
    this.sized.observe(this.layout.body);
  }

  /** Stop everything that runs by itself. */
  close() {
    this.bound.abort();
    this.sized.disconnect();
    this.pulse.close();
    this.bookmark.close();
    clearTimeout(this.refining);
    clearInterval(this.rolling);
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
    this.layout.themes.show(this.state.theme);
    this.keep();
  }

  /** Take the state from a text, such as what follows # in an address. */
  restore(text) {
    if (text.replace(/^#/, "") === written(this.state, this.start)) return;
    this.set(read(text, this.start));
  }

  /** Draw soon, and keep the state. */
  keep() {
    this.pulse.ask();
    this.bookmark.keep(written(this.state, this.start));
  }

  async copy() {
    const copied = await this.bookmark.copy(written(this.state, this.start));
    if (copied) this.say("The link to this view is on the clipboard.");
  }

  say(words) {
    this.layout.status.textContent = words;
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
    this.keep();
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
    this.pulse.ask();
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
    this.say(restOf(particles));
  }

  // The pointer, the crosshair and the camera

  /** Move the crosshair to a point of the box. */
  point(x, y, { aloud = false } = {}) {
    this.state.cursor = [Number(x.toPrecision(4)), Number(y.toPrecision(4))];
    this.follow();
    if (aloud) this.say(this.layout.readout.textContent);
    this.keep();
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
    this.layout.readout.textContent = `x ${shortened(x)}, y ${shortened(y)}, E ${energies.join(" and ")}`;
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
    this.pulse.ask();
  }

  /** Move the particles and draw; return whether they go on moving. */
  tick() {
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
    this.tell(moving);
    return moving;
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

  /** Write the numbers of the particles, four times a second. */
  tell(moving) {
    const now = performance.now();
    if (moving && now - (this.told ?? 0) < 250) return;
    this.told = now;
    this.panel.tell(numbersOf(this.runs, moving ? this.framesPerSecond() : 0));
  }

  // For scripts and tests: what a person sees, as numbers

  /** Return how many frames were drawn in the last second. */
  framesPerSecond() {
    return this.pulse.rate();
  }

  /** Return how far a run's particles are from the exact law. */
  distance(run) {
    return distanceOf(run);
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
