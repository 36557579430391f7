// Particles on one surface: where they are, and what is remembered of where they were.

import { Random } from "./random.js";
import { advance } from "./samplers.js";

export const MOST = 20000;
export const TRAILED = 60;
const TRAIL = 160;
const REMEMBERED = 320;
const WINDOW = 150;
const FOLLOWED = 5;

/** Counts of particles in the cells of a box, fading with age. */
class Counts {
  constructor(cells) {
    this.cells = cells;
    this.values = new Float64Array(cells * cells);
    this.total = 0;
  }

  /** Count particles on top of what is left of those before. */
  add(particles, surface) {
    const fading = 1 - 1 / WINDOW;
    for (let k = 0; k < this.values.length; k++) this.values[k] *= fading;
    this.total = this.total * fading + particles.count;
    const perX = this.cells / (surface.right - surface.left);
    const perY = this.cells / (surface.top - surface.bottom);
    for (let i = 0; i < particles.count; i++) {
      const column = Math.min(Math.floor((particles.x[i] - surface.left) * perX), this.cells - 1);
      const row = Math.min(Math.floor((particles.y[i] - surface.bottom) * perY), this.cells - 1);
      this.values[row * this.cells + column]++;
    }
  }

  /** Return the shares of cells x cells parts of the box, row by row from below. */
  shares(cells = this.cells) {
    const found = new Float64Array(cells * cells);
    const part = (k) => Math.floor((k * cells) / this.cells);
    this.values.forEach((value, k) => {
      const row = part(Math.floor(k / this.cells));
      found[row * cells + part(k % this.cells)] += value / (this.total || 1);
    });
    return found;
  }
}

export class Particles {
  constructor(seed, cells) {
    this.cells = cells;
    this.restart(seed);
  }

  /** Take all particles away. */
  restart(seed) {
    this.random = new Random(seed);
    this.count = 0;
    this.room = 64;
    for (const name of ["x", "y", "energy", "slopeX", "slopeY"]) {
      this[name] = new Float64Array(this.room);
    }
    this.trails = [];
    this.forget();
  }

  /** Forget where the particles were: another law holds from here on. */
  forget() {
    this.counts = new Counts(this.cells);
    this.history = [];
    this.moves = 0;
    this.accepted = 0;
    this.tried = 0;
    for (const trail of this.trails) trail.length = 0;
  }

  /** Put one more particle on the surface; return whether it could be. */
  drop(surface, x, y) {
    const here = new Float64Array(3);
    surface.look(x, y, here);
    if (!(here[0] < Infinity) || this.count >= MOST) return false;
    if (this.count === this.room) this.grow();
    this.put(this.count, x, y, here);
    if (this.count < TRAILED) this.trails.push([]);
    this.count++;
    return true;
  }

  grow() {
    this.room *= 2;
    for (const name of ["x", "y", "energy", "slopeX", "slopeY"]) {
      const larger = new Float64Array(this.room);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  /** Put particle i at a place with this energy and gradient. */
  put(i, x, y, here) {
    this.x[i] = x;
    this.y[i] = y;
    this.energy[i] = here[0];
    this.slopeX[i] = here[1];
    this.slopeY[i] = here[2];
  }

  /** Read energies and gradients anew, from another surface. */
  settle(surface) {
    const here = new Float64Array(3);
    for (let i = 0; i < this.count; i++) {
      surface.look(this.x[i], this.y[i], here);
      if (!(here[0] < Infinity)) here.fill(0);
      this.put(i, this.x[i], this.y[i], here);
    }
  }

  /** Move all particles some times and remember where they came. */
  advance(surface, settings, times) {
    for (let k = 0; k < times; k++) {
      this.accepted += advance(this, surface, settings, this.random);
      this.tried += this.count;
      for (let i = 0; i < Math.min(this.count, TRAILED); i++) {
        const trail = this.trails[i];
        trail.push(this.x[i], this.y[i]);
        if (trail.length > 2 * TRAIL) trail.splice(0, trail.length - 2 * TRAIL);
      }
      this.counts.add(this, surface);
    }
    this.moves += times;
    this.remember();
  }

  remember() {
    if (!this.count) return;
    const sorted = this.energy.slice(0, this.count).sort();
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum += sorted[i];
    const at = (share) => sorted[Math.min(Math.floor(share * this.count), this.count - 1)];
    this.history.push({
      move: this.moves,
      mean: sum / this.count,
      low: at(0.1),
      high: at(0.9),
      followed: Array.from(this.energy.subarray(0, Math.min(this.count, FOLLOWED))),
    });
    if (this.history.length > REMEMBERED) this.history.shift();
  }

  /** Return the length of the longest gradient, which is zero where all are at rest. */
  steepest() {
    let most = 0;
    for (let i = 0; i < this.count; i++) {
      most = Math.max(most, Math.hypot(this.slopeX[i], this.slopeY[i]));
    }
    return most;
  }
}
