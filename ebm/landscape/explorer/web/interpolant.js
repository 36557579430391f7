// The surface between the points of a grid, with its exact gradient.
//
// Catmull-Rom in both directions: it passes through every point, is once continuously
// differentiable, and is exact for parabolas. Samplers use this energy and the gradient of
// this same energy, so that an accepted proposal is accepted with the right probability.

/** Write the four weights of a cubic between its second and third point, and their slopes. */
function weigh(t, weights, slopes) {
  weights[0] = ((2 - t) * t - 1) * t * 0.5;
  weights[1] = ((3 * t - 5) * t * t + 2) * 0.5;
  weights[2] = ((4 - 3 * t) * t + 1) * t * 0.5;
  weights[3] = (t - 1) * t * t * 0.5;
  slopes[0] = ((4 - 3 * t) * t - 1) * 0.5;
  slopes[1] = (9 * t - 10) * t * 0.5;
  slopes[2] = ((8 - 9 * t) * t + 1) * 0.5;
  slopes[3] = (3 * t - 2) * t * 0.5;
}

/** Return the grid with one more point on every side, gone on as a parabola. */
function padded(values, columns, rows) {
  const wide = columns + 2;
  const grid = new Float64Array(wide * (rows + 2));
  const beyond = (a, b, c) => 3 * a - 3 * b + c;
  for (let j = 0; j < rows; j++) {
    const start = (j + 1) * wide;
    for (let i = 0; i < columns; i++) grid[start + i + 1] = values[j * columns + i];
    grid[start] = beyond(grid[start + 1], grid[start + 2], grid[start + 3]);
    const end = start + wide - 1;
    grid[end] = beyond(grid[end - 1], grid[end - 2], grid[end - 3]);
  }
  const last = (rows + 1) * wide;
  for (let i = 0; i < wide; i++) {
    grid[i] = beyond(grid[wide + i], grid[2 * wide + i], grid[3 * wide + i]);
    grid[last + i] = beyond(
      grid[last - wide + i],
      grid[last - 2 * wide + i],
      grid[last - 3 * wide + i],
    );
  }
  return grid;
}

export class Interpolant {
  /** Take energies row by row, from the lowest y up, on a box [[x, x], [y, y]]. */
  constructor(values, columns, rows, bounds) {
    this.columns = columns;
    this.rows = rows;
    [[this.left, this.right], [this.bottom, this.top]] = bounds;
    this.perX = (columns - 1) / (this.right - this.left);
    this.perY = (rows - 1) / (this.top - this.bottom);
    this.wide = columns + 2;
    this.grid = padded(values, columns, rows);
    this.weightsX = new Float64Array(4);
    this.weightsY = new Float64Array(4);
    this.slopesX = new Float64Array(4);
    this.slopesY = new Float64Array(4);
  }

  /** Return whether the point lies in the box. */
  holds(x, y) {
    return x >= this.left && x <= this.right && y >= this.bottom && y <= this.top;
  }

  /** Write E, dE/dx, dE/dy at a point; E is infinite outside and beside masked points. */
  look(x, y, out) {
    if (!this.holds(x, y)) {
      out[0] = Infinity;
      return;
    }
    const across = (x - this.left) * this.perX;
    const up = (y - this.bottom) * this.perY;
    const i = Math.min(Math.floor(across), this.columns - 2);
    const j = Math.min(Math.floor(up), this.rows - 2);
    const { weightsX: wx, weightsY: wy, slopesX: sx, slopesY: sy } = this;
    weigh(across - i, wx, sx);
    weigh(up - j, wy, sy);
    const { grid, wide } = this;
    let energy = 0;
    let slopeX = 0;
    let slopeY = 0;
    for (let k = 0, at = j * wide + i; k < 4; k++, at += wide) {
      const a = grid[at];
      const b = grid[at + 1];
      const c = grid[at + 2];
      const d = grid[at + 3];
      const row = wx[0] * a + wx[1] * b + wx[2] * c + wx[3] * d;
      energy += wy[k] * row;
      slopeY += sy[k] * row;
      slopeX += wy[k] * (sx[0] * a + sx[1] * b + sx[2] * c + sx[3] * d);
    }
    out[0] = energy === energy ? energy : Infinity;
    out[1] = slopeX * this.perX;
    out[2] = slopeY * this.perY;
  }
}

/** Return the larger curvature at every point of a grid, by finite differences. */
export function curvatures(surface) {
  const { grid, wide, columns, rows, perX, perY } = surface;
  const found = new Float32Array(columns * rows);
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      const at = (j + 1) * wide + i + 1;
      const xx = (grid[at - 1] - 2 * grid[at] + grid[at + 1]) * perX * perX;
      const yy = (grid[at - wide] - 2 * grid[at] + grid[at + wide]) * perY * perY;
      const crossed =
        grid[at + wide + 1] - grid[at + wide - 1] - grid[at - wide + 1] + grid[at - wide - 1];
      const xy = (crossed * perX * perY) / 4;
      found[j * columns + i] = (xx + yy) / 2 + Math.sqrt(((xx - yy) / 2) ** 2 + xy * xy);
    }
  }
  return found;
}
