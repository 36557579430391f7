// One run: its energies over training, its terms, and the surface that they make now.

import { grown } from "./colors.js";
import { energiesOf, floatsOf } from "./decode.js";
import { Interpolant, curvatures } from "./interpolant.js";
import { Law } from "./law.js";
import { Particles } from "./particles.js";

export const CELLS = 16;
export const BARS = 32;
const UNIT = [
  [0, 1],
  [0, 1],
];

export class Run {
  constructor(page, given, seed) {
    this.page = page;
    this.name = given.name;
    [this.rows, this.columns] = page.shape;
    this.terms = given.terms.map(({ name, values }) => ({ name, values: floatsOf(values) }));
    this.steps = given.frames?.steps ?? [];
    this.film = given.frames
      ? energiesOf(given.frames.values, given.frames.low, given.frames.high)
      : null;
    this.particles = new Particles(seed, BARS);
  }

  get frames() {
    return Math.max(this.steps.length, 1);
  }

  /** Return the number of a frame, where a negative one is the last. */
  frame(at) {
    return at < 0 || at >= this.frames - 1 ? this.frames - 1 : at;
  }

  /** Return whether a frame has its terms, so that they can be weighed anew. */
  weighable(at) {
    return this.frame(at) === this.frames - 1;
  }

  /** Return the energies of a frame; its terms are kept for the last one only. */
  energies(at, weights) {
    const size = this.rows * this.columns;
    const frame = this.frame(at);
    if (!this.weighable(at)) return this.film.subarray(frame * size, (frame + 1) * size);
    const sum = new Float32Array(size);
    this.terms.forEach(({ values }, k) => {
      const weight = weights[k] ?? 1;
      if (weight === 0) return;
      for (let i = 0; i < size; i++) sum[i] += weight * values[i];
    });
    return sum;
  }

  /** Make the surface of a frame with these weights. */
  shape(at, weights) {
    this.values = this.energies(at, weights);
    this.surface = new Interpolant(this.values, this.columns, this.rows, this.page.bounds);
    this.law = new Law(this.surface);
    this.lowest = this.values.reduce((low, value) => (value < low ? value : low), Infinity);
    this.curvature = curvatures(this.surface);
    this.particles.settle(this.surface);
  }

  /** Make what is seen of the surface at a temperature: shades, and heights from 0 to 1. */
  expose(view, temperature) {
    this.law.warm(temperature);
    const { high, compression } = this.page;
    const cold = Math.max(temperature, 1e-9);
    const shade =
      view === "density"
        ? (value) => 1 - Math.exp((this.lowest - value) / cold)
        : (value) => (value === value ? grown(value - this.lowest, high, compression) : NaN);
    const shades = this.values.map(shade);
    this.shades = new Interpolant(shades, this.columns, this.rows, UNIT);
    const heights = shades.map(view === "density" ? (value) => 1 - value : leveled);
    this.heights = new Interpolant(heights, this.columns, this.rows, UNIT);
    this.levels = this.law.levels([0.5, 0.9]).map(shade);
    this.exact = this.law.binned(BARS);
  }

  /** Return a step size that no curvature which the law meets makes overshoot. */
  calmStep() {
    this.law.warm(1);
    const limit = this.law.levels([0.98])[0];
    let steepest = 0;
    this.curvature.forEach((value, k) => {
      if (this.values[k] <= limit && value > steepest) steepest = value;
    });
    const [[left, right]] = this.page.bounds;
    const wide = (0.03 * (right - left)) ** 2;
    return Number(Math.min(0.25 / Math.max(steepest, 1e-12), wide).toPrecision(2));
  }
}

/** Return a height that ends in a smooth rim at 1. */
function leveled(height) {
  const rim = 0.88;
  return height < rim ? height : rim + (1 - rim) * Math.tanh((height - rim) / (1 - rim));
}
