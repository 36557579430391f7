// Colors of energies, by day and by night: low ones stand out, high ones recede.

import { bytesOf } from "./decode.js";

/** Return how far up the scale energies above their lowest lie; 1 at `high`, then on. */
export function grown(above, high, compression) {
  return Math.log1p((compression * Math.max(above, 0)) / high) / Math.log1p(compression);
}

/** Return the energy above the lowest that lies this far up the scale. */
export function expanded(shade, high, compression) {
  return (Math.expm1(shade * Math.log1p(compression)) / compression) * high;
}

/** Return what a canvas needs of a theme: 256 field colors and those of lines. */
export function themed(palette, dark) {
  const theme = dark ? palette.night : palette.day;
  return { ...theme, dark, field: bytesOf(theme.field) };
}

/** Return where the color of a shade begins in the field's bytes. */
export function indexOf(shade) {
  const k = Math.round(shade * 255);
  return 3 * (k < 0 ? 0 : k > 255 ? 255 : k);
}

/** Return round energies about evenly spaced in color between 0 and `high`. */
export function ticksOf(high, compression, count) {
  const found = [0];
  for (let k = 1; k <= count; k++) {
    const energy = expanded(k / count, high, compression);
    const unit = 10 ** Math.floor(Math.log10(energy));
    const step = energy / unit >= 5 ? unit : energy / unit >= 2 ? unit / 2 : unit / 5;
    const round = Math.floor(energy / step) * step;
    const apart = grown(round, high, compression) - grown(found.at(-1), high, compression);
    if (apart > 0.6 / count) found.push(Number(round.toPrecision(6)));
  }
  return found;
}
