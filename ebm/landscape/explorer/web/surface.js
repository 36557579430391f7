// The surface in three dimensions, drawn without a graphics card: a depth buffer and
// triangles, so that it looks the same on every machine, and particles hide behind hills.

import { indexOf } from "./colors.js";
import { CONTOURS } from "./heatmap.js";
import { fitted } from "./canvas.js";

const HEIGHT = 0.75;
const FLOOR = -0.06;
const DISTANCE = 5.2;
const FINEST = 128;
const SUN = [-0.42, -0.5, 0.76];

/** Where the surface is seen from: a turn and a tilt in degrees, and a zoom. */
export class Camera {
  constructor(width, height, { turn, tilt, zoom }) {
    const a = (turn * Math.PI) / 180;
    const e = (tilt * Math.PI) / 180;
    [this.cosA, this.sinA, this.cosE, this.sinE] = [
      Math.cos(a),
      Math.sin(a),
      Math.cos(e),
      Math.sin(e),
    ];
    this.middleX = width / 2;
    this.middleY = height * 0.45;
    this.scale = Math.min(width / 3.1, height / 2.75) * zoom;
  }

  /** Write where a point is on the screen, and how far away: x, y within 1, z from 0 to 1. */
  project(x, y, z, out) {
    const across = x * this.cosA + y * this.sinA;
    const away = -x * this.sinA + y * this.cosA;
    const up = (z - 0.5) * HEIGHT;
    const depth = away * this.cosE - up * this.sinE;
    const lift = away * this.sinE + up * this.cosE;
    const near = DISTANCE / (DISTANCE + depth);
    out[0] = this.middleX + this.scale * across * near;
    out[1] = this.middleY - this.scale * lift * near;
    out[2] = depth;
  }
}

/** Draw a triangle of shades into the pixels, where nothing nearer is drawn. */
class Painter {
  constructor(width, height, theme, sharp) {
    this.width = width;
    this.height = height;
    this.theme = theme;
    this.field = theme.field;
    this.sharp = sharp;
    this.image = new ImageData(width, height);
    this.pixels = this.image.data;
    this.depth = new Float32Array(width * height).fill(Infinity);
    this.lines = [];
  }

  /** Each corner is [x, y, depth, shade, light]; `flat` is the color of walls. */
  triangle(a, b, c, flat) {
    const { width, height, depth } = this;
    const area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
    if (Math.abs(area) < 1e-9) return;
    const left = Math.max(0, Math.floor(Math.min(a[0], b[0], c[0])));
    const right = Math.min(width - 1, Math.ceil(Math.max(a[0], b[0], c[0])));
    const top = Math.max(0, Math.floor(Math.min(a[1], b[1], c[1])));
    const bottom = Math.min(height - 1, Math.ceil(Math.max(a[1], b[1], c[1])));
    const uX = (b[1] - c[1]) / area;
    const vX = (c[1] - a[1]) / area;
    const uY = (c[0] - b[0]) / area;
    const vY = (a[0] - c[0]) / area;
    const slopeX = uX * (a[3] - c[3]) + vX * (b[3] - c[3]);
    const slopeY = uY * (a[3] - c[3]) + vY * (b[3] - c[3]);
    const slope = Math.sqrt(slopeX * slopeX + slopeY * slopeY);
    for (let y = top; y <= bottom; y++) {
      const fromX = left - c[0];
      const fromY = y - c[1];
      let u = fromX * uX + fromY * uY;
      let v = fromX * vX + fromY * vY;
      for (let x = left; x <= right; x++, u += uX, v += vX) {
        const w = 1 - u - v;
        if (u < -1e-4 || v < -1e-4 || w < -1e-4) continue;
        const away = u * a[2] + v * b[2] + w * c[2];
        const at = y * width + x;
        if (away >= depth[at]) continue;
        depth[at] = away;
        if (flat) this.fill(at, flat);
        else {
          const shade = u * a[3] + v * b[3] + w * c[3];
          this.shade(at, shade, slope, u * a[4] + v * b[4] + w * c[4]);
        }
      }
    }
  }

  fill(at, color) {
    const { pixels } = this;
    [pixels[4 * at], pixels[4 * at + 1], pixels[4 * at + 2]] = color;
    pixels[4 * at + 3] = 255;
  }

  shade(at, shade, slope, light) {
    const { theme, sharp, field, lines } = this;
    const color = indexOf(shade);
    const steps = shade * (CONTOURS + 1);
    const nearest = Math.round(steps);
    const { pixels } = this;
    let line = null;
    let share = 0;
    if (nearest >= 1 && nearest <= CONTOURS) {
      const apart = Math.abs(steps - nearest) / ((CONTOURS + 1) * (slope + 1e-9));
      share = 0.28 * Math.min(Math.max(0.35 * sharp + 0.5 - apart, 0), 1);
      line = nearest < CONTOURS * 0.55 ? theme.contourLow : theme.contourHigh;
    }
    for (let k = 0; k < lines.length; k++) {
      const level = lines[k];
      const apart = Math.abs(shade - level.shade) / (slope + 1e-9);
      const cover = Math.min(Math.max((level.width * sharp) / 2 + 0.5 - apart, 0), 1);
      if (cover > share) {
        line = level.color;
        share = cover;
      }
    }
    for (let k = 0; k < 3; k++) {
      const lit = field[color + k] * light;
      pixels[4 * at + k] = share > 0 ? lit + share * (line[k] - lit) : lit;
    }
    pixels[4 * at + 3] = 255;
  }
}

/** Return how bright a slope is: 1 where it is level. */
function lightOf(slopeX, slopeY) {
  const length = Math.hypot(slopeX, slopeY, 1);
  const facing = (-slopeX * SUN[0] - slopeY * SUN[1] + SUN[2]) / length / Math.hypot(...SUN);
  return Math.min(0.62 + 0.5 * Math.max(facing, 0), 1.06);
}

export class SurfaceView {
  constructor(canvas) {
    this.canvas = canvas;
    this.found = new Float64Array(3);
    this.at = [0, 0, 0];
  }

  /** Draw the surface with these shades and heights, `ratio` times as wide as deep. */
  draw(shades, heights, theme, lines, seen, { draft }) {
    const context = draft ? fitted(this.canvas, 1) : fitted(this.canvas, 2, 2);
    const { width, height } = this.canvas;
    this.sharp = width / this.canvas.clientWidth;
    this.camera = new Camera(width, height, seen);
    this.heights = heights;
    [this.halfX, this.halfY] = seen.ratio > 1 ? [1, 1 / seen.ratio] : [seen.ratio, 1];
    const painter = new Painter(width, height, theme, this.sharp);
    painter.lines = lines;
    this.corners = this.project(shades, heights);
    this.paint(painter, theme);
    this.depth = painter.depth;
    context.putImageData(painter.image, 0, 0);
  }

  /** Return the corners of the mesh on the screen, row by row. */
  project(shades, heights) {
    const { columns, rows } = shades;
    const stride = Math.max(1, Math.ceil(Math.max(columns, rows) / FINEST));
    const pick = (n) => {
      const found = [];
      for (let k = 0; k < n - 1; k += stride) found.push(k);
      return [...found, n - 1];
    };
    this.across = pick(columns);
    this.up = pick(rows);
    const corners = [];
    const grid = (of, i, j) => of.grid[(j + 1) * of.wide + i + 1];
    for (const j of this.up) {
      for (const i of this.across) {
        const x = this.halfX * ((2 * i) / (columns - 1) - 1);
        const y = this.halfY * ((2 * j) / (rows - 1) - 1);
        const z = grid(heights, i, j);
        const corner = [0, 0, 0, grid(shades, i, j), 1];
        this.camera.project(x, y, Math.min(Math.max(z, 0), 1), corner);
        const slopeX =
          ((grid(heights, i + 1, j) - grid(heights, i - 1, j)) * (columns - 1)) / 4 / this.halfX;
        const slopeY =
          ((grid(heights, i, j + 1) - grid(heights, i, j - 1)) * (rows - 1)) / 4 / this.halfY;
        const finite = Math.abs(slopeX) + Math.abs(slopeY) < Infinity;
        corner[4] = finite ? lightOf(slopeX * HEIGHT, slopeY * HEIGHT) : lightOf(0, 0);
        corners.push(z === z ? corner : null);
      }
    }
    return corners;
  }

  paint(painter, theme) {
    const wide = this.across.length;
    const high = this.up.length;
    const at = (i, j) => this.corners[j * wide + i];
    for (let j = 0; j + 1 < high; j++) {
      for (let i = 0; i + 1 < wide; i++) {
        const [a, b, c, d] = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)];
        if (!a || !b || !c || !d) continue;
        painter.triangle(a, b, c);
        painter.triangle(a, c, d);
      }
    }
    for (let i = 0; i + 1 < wide; i++) {
      this.wall(
        painter,
        theme.wallX,
        at(i, 0),
        at(i + 1, 0),
        this.floor(i, 0),
        this.floor(i + 1, 0),
      );
      const last = high - 1;
      this.wall(
        painter,
        theme.wallX,
        at(i, last),
        at(i + 1, last),
        this.floor(i, last),
        this.floor(i + 1, last),
      );
    }
    for (let j = 0; j + 1 < high; j++) {
      this.wall(
        painter,
        theme.wallY,
        at(0, j),
        at(0, j + 1),
        this.floor(0, j),
        this.floor(0, j + 1),
      );
      const last = wide - 1;
      this.wall(
        painter,
        theme.wallY,
        at(last, j),
        at(last, j + 1),
        this.floor(last, j),
        this.floor(last, j + 1),
      );
    }
  }

  /** Return the corner on the floor below a corner of the mesh. */
  floor(i, j) {
    const out = [0, 0, 0, 0, 1];
    const x = this.halfX * ((2 * this.across[i]) / this.across.at(-1) - 1);
    const y = this.halfY * ((2 * this.up[j]) / this.up.at(-1) - 1);
    this.camera.project(x, y, FLOOR, out);
    return out;
  }

  wall(painter, color, a, b, belowA, belowB) {
    if (!a || !b) return;
    painter.triangle(a, b, belowB, color);
    painter.triangle(a, belowB, belowA, color);
  }

  /** Return where on the screen a point of the box lies, or null where a hill hides it. */
  place(surface, x, y) {
    const { found, at: here } = this;
    const across = (x - surface.left) / (surface.right - surface.left);
    const up = (y - surface.bottom) / (surface.top - surface.bottom);
    this.heights.look(across, up, found);
    const z = Math.min(Math.max(found[0], 0), 1);
    this.camera.project(this.halfX * (2 * across - 1), this.halfY * (2 * up - 1), z, here);
    const column = Math.round(here[0]);
    const row = Math.round(here[1]);
    const inside =
      column >= 0 && row >= 0 && column < this.canvas.width && row < this.canvas.height;
    if (!inside || here[2] > this.depth[row * this.canvas.width + column] + 0.06) return null;
    here[0] /= this.sharp;
    here[1] /= this.sharp;
    return here;
  }

  /** Return the point of the box that is seen at a place of the screen, or null. */
  seen(surface, screenX, screenY) {
    const [x, y] = [screenX * this.sharp, screenY * this.sharp];
    let best = null;
    let least = (14 * this.sharp) ** 2;
    const wide = this.across.length;
    this.corners.forEach((corner, k) => {
      if (!corner) return;
      const apart = (corner[0] - x) ** 2 + (corner[1] - y) ** 2;
      const at = Math.round(corner[1]) * this.canvas.width + Math.round(corner[0]);
      if (apart < least && corner[2] <= this.depth[at] + 0.05) [best, least] = [k, apart];
    });
    if (best === null) return null;
    const across = this.across[best % wide] / this.across.at(-1);
    const up = this.up[Math.floor(best / wide)] / this.up.at(-1);
    return [
      surface.left + across * (surface.right - surface.left),
      surface.bottom + up * (surface.top - surface.bottom),
    ];
  }
}
