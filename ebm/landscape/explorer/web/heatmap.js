// The map: every pixel shaded from the surface, contours and levels of mass as thin lines.

import { indexOf } from "./colors.js";
import { fitted } from "./canvas.js";

export const CONTOURS = 11;

/** Return, for each of n pixels, the first of four grid points and their weights. */
function steps(pixels, points) {
  const first = new Int32Array(pixels);
  const weights = new Float32Array(4 * pixels);
  for (let p = 0; p < pixels; p++) {
    const at = ((p + 0.5) / pixels) * (points - 1);
    const i = Math.min(Math.floor(at), points - 2);
    const t = at - i;
    first[p] = i;
    weights[4 * p] = ((2 - t) * t - 1) * t * 0.5;
    weights[4 * p + 1] = ((3 * t - 5) * t * t + 2) * 0.5;
    weights[4 * p + 2] = ((4 - 3 * t) * t + 1) * t * 0.5;
    weights[4 * p + 3] = (t - 1) * t * t * 0.5;
  }
  return { first, weights };
}

/** Return the shades of all pixels, the top row first, from a grid of shades. */
function shadesOf(shades, width, height) {
  const { grid, wide, columns, rows } = shades;
  const across = steps(width, columns);
  const up = steps(height, rows);
  const found = new Float32Array(width * height);
  const row = new Float32Array(wide);
  for (let q = 0; q < height; q++) {
    const p = height - 1 - q;
    const at = up.first[p] * wide;
    const [a, b, c, d] = up.weights.subarray(4 * p, 4 * p + 4);
    for (let i = 0; i < wide; i++) {
      const k = at + i;
      row[i] = a * grid[k] + b * grid[k + wide] + c * grid[k + 2 * wide] + d * grid[k + 3 * wide];
    }
    for (let x = 0; x < width; x++) {
      const i = across.first[x];
      const w = 4 * x;
      const weights = across.weights;
      found[q * width + x] =
        weights[w] * row[i] +
        weights[w + 1] * row[i + 1] +
        weights[w + 2] * row[i + 2] +
        weights[w + 3] * row[i + 3];
    }
  }
  return found;
}

/** Return how much of a line of this width covers a pixel at this distance from it. */
function covered(distance, width) {
  const share = width / 2 + 0.5 - distance;
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

/** Draw the shades, with contours and with thicker lines at some shades. */
export function drawHeatmap(canvas, shades, theme, lines) {
  const context = fitted(canvas);
  const { width, height } = canvas;
  const found = shadesOf(shades, width, height);
  const image = new ImageData(width, height);
  const pixels = image.data;
  const { field, masked } = theme;
  const sharp = width / canvas.clientWidth;
  const blend = (p, color, share) => {
    for (let k = 0; k < 3; k++) pixels[p + k] += share * (color[k] - pixels[p + k]);
  };
  for (let q = 0; q < height; q++) {
    for (let x = 0; x < width; x++) {
      const at = q * width + x;
      const shade = found[at];
      const p = 4 * at;
      pixels[p + 3] = 255;
      if (shade !== shade) {
        [pixels[p], pixels[p + 1], pixels[p + 2]] = masked;
        continue;
      }
      const color = indexOf(shade);
      pixels[p] = field[color];
      pixels[p + 1] = field[color + 1];
      pixels[p + 2] = field[color + 2];
      const aside = found[x > 0 ? at - 1 : at + 1];
      const below = found[q > 0 ? at - width : at + width];
      const slope = Math.sqrt((aside - shade) ** 2 + (below - shade) ** 2) + 1e-9;
      const steps = shade * (CONTOURS + 1);
      const nearest = Math.round(steps);
      if (nearest >= 1 && nearest <= CONTOURS) {
        const distance = Math.abs(steps - nearest) / ((CONTOURS + 1) * slope);
        const share = covered(distance, 0.7 * sharp);
        if (share > 0) {
          const lowest = nearest < CONTOURS * 0.55;
          blend(p, lowest ? theme.contourLow : theme.contourHigh, 0.3 * share);
        }
      }
      for (let k = 0; k < lines.length; k++) {
        const distance = Math.abs(shade - lines[k].shade) / slope;
        const share = covered(distance, lines[k].width * sharp);
        if (share > 0) blend(p, lines[k].color, share);
      }
    }
  }
  context.putImageData(image, 0, 0);
}
