// What the particles add up to, in words and numbers.

import { shortened } from "./charts.js";
import { totalVariation } from "./law.js";
import { CELLS } from "./run.js";

/** Return how far the particles' recent places are from the exact law, on 16 x 16 cells. */
export function distanceOf(run) {
  return totalVariation(run.particles.counts.shares(CELLS), run.law.binned(CELLS));
}

/** Return the names and values of what is known of the particles of all runs. */
export function numbersOf(runs, rate) {
  const { particles } = runs[0];
  const found = [["Particles", particles.count.toLocaleString("en")]];
  if (!particles.count) return found;
  const each = (value) => runs.map(value).join(" and ");
  found.push(["Accepted", each(({ particles: p }) => percent(p.accepted, p.tried))]);
  found.push(["Mean energy", each(({ particles: p }) => shortened(p.history.at(-1)?.mean ?? NaN))]);
  found.push(["Exact mean", each(({ law }) => shortened(law.mean))]);
  const apart = (run) => (run.particles.counts.total ? distanceOf(run).toFixed(3) : "–");
  found.push(["Distance from exact", each(apart)]);
  found.push(["Frames a second", rate ? String(Math.round(rate)) : "–"]);
  return found;
}

/** Say where the last particle came to rest. */
export function restOf({ x, y, energy, count }) {
  const last = count - 1;
  const place = `(${shortened(x[last])}, ${shortened(y[last])})`;
  return `At rest: the last particle at ${place}, energy ${shortened(energy[last])}.`;
}

function percent(part, whole) {
  return whole ? `${Math.round((100 * part) / whole)} %` : "–";
}
