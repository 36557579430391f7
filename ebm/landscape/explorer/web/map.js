// The map of one run: the picture, what lies on it, the pointer and the keyboard.

import { Dots, drawDot, fitted } from "./canvas.js";
import { make } from "./controls.js";
import { TRAILED } from "./particles.js";

const OVERSHOOT_GAP = 11;

export class MapView {
  /** `drop(x, y)` and `point(x, y)` are called with points of the box. */
  constructor(run, page, { drop, point }) {
    this.run = run;
    this.page = page;
    this.drop = drop;
    this.point = point;
    this.dots = new Dots();
    this.picture = make("canvas", { className: "ebm-picture", "aria-hidden": "true" });
    this.overlay = make("canvas", {
      className: "ebm-overlay",
      tabIndex: 0,
      role: "application",
      "aria-roledescription": "energy map",
      "aria-label":
        `Map of the energy of ${run.name}. Arrow keys move the crosshair, with Shift in large ` +
        "steps; Enter drops a particle; Home goes to the lowest point.",
    });
    const [[left, right], [bottom, top]] = page.bounds;
    this.ratio = Math.min(Math.max((right - left) / (top - bottom), 0.6), 1.8);
    this.element = make("div", { className: "ebm-map" }, this.picture, this.overlay);
    this.element.style.aspectRatio = String(this.ratio);
    this.listen();
  }

  listen() {
    const at = (event) => {
      const box = this.overlay.getBoundingClientRect();
      return this.inside(
        (event.clientX - box.left) / box.width,
        (event.clientY - box.top) / box.height,
      );
    };
    this.overlay.addEventListener("click", (event) => {
      if (event.detail > 0) this.drop(...at(event));
    });
    this.overlay.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") this.point(...at(event));
    });
    this.overlay.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const [[left, right], [bottom, top]] = this.page.bounds;
    const share = event.shiftKey ? 0.1 : 0.02;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    let [x, y] = this.cursor ?? [(left + right) / 2, (bottom + top) / 2];
    if (event.key in moves) {
      x += moves[event.key][0] * share * (right - left);
      y += moves[event.key][1] * share * (top - bottom);
    } else if (event.key === "Home") {
      [x, y] = this.lowest();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.drop(x, y);
      return;
    } else return;
    event.preventDefault();
    x = Math.min(Math.max(x, left), right);
    y = Math.min(Math.max(y, bottom), top);
    this.point(x, y, { aloud: true });
  }

  /** Return the grid point of lowest energy. */
  lowest() {
    const { values, columns, rows, lowest } = this.run;
    const k = values.indexOf(lowest);
    return this.inside((k % columns) / (columns - 1), 1 - Math.floor(k / columns) / (rows - 1));
  }

  /** Return the point of the box at shares of the picture, from the top left. */
  inside(across, down) {
    const [[left, right], [bottom, top]] = this.page.bounds;
    return [left + across * (right - left), top - down * (top - bottom)];
  }

  /** Return where in the picture a point of the box lies, in pixels. */
  place(x, y, out = [0, 0]) {
    const { surface } = this.run;
    out[0] = ((x - surface.left) / (surface.right - surface.left)) * this.wide;
    out[1] = ((surface.top - y) / (surface.top - surface.bottom)) * this.high;
    return out;
  }

  /** Measure the picture: once for many points, since asking is slow. */
  measure() {
    this.wide = this.overlay.clientWidth;
    this.high = this.overlay.clientHeight;
  }

  /** Draw what lies on the picture and does not move: data, corners, where steps overshoot. */
  drawStill({ points, corners, overshoot }, theme) {
    this.measure();
    const context = this.picture.getContext("2d");
    const ratio = this.picture.width / this.picture.clientWidth;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (overshoot) this.drawOvershoot(context, overshoot, theme);
    if (points) this.drawData(context, points, theme);
    corners?.forEach(([x, y], k) => this.drawCorner(context, x, y, "abc"[k], theme));
  }

  drawOvershoot(context, limit, theme) {
    const { curvature, columns, rows } = this.run;
    const [wide, high] = [this.picture.clientWidth, this.picture.clientHeight];
    context.fillStyle = theme.warning;
    for (let row = 0, y = 6; y < high; y += OVERSHOOT_GAP / 2, row++) {
      for (let x = 6 + (row % 2) * (OVERSHOOT_GAP / 2); x < wide; x += OVERSHOOT_GAP) {
        const i = Math.round((x / wide) * (columns - 1));
        const j = Math.round((1 - y / high) * (rows - 1));
        if (curvature[j * columns + i] > limit) context.fillRect(x - 0.75, y - 0.75, 1.5, 1.5);
      }
    }
  }

  drawData(context, points, theme) {
    const radius = Math.min(Math.max(Math.sqrt(900 / (points.length / 2)), 1.4), 2.6);
    for (let k = 0; k < points.length; k += 2) {
      const [x, y] = this.place(points[k], points[k + 1]);
      drawDot(context, x, y, radius, theme.data, theme.dataEdge, 0.6);
    }
  }

  drawCorner(context, x, y, letter, theme) {
    const [column, row] = this.place(x, y);
    drawDot(context, column, row, 10, theme.data, theme.dataEdge, 1.5);
    context.fillStyle = "#1c2733";
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(letter, column, row + 0.5);
  }

  /** Draw the particles, their trails and the crosshair. */
  drawMoving(theme) {
    const context = fitted(this.overlay);
    this.measure();
    const scratch = [0, 0];
    const place = (x, y) => this.place(x, y, scratch);
    drawParticles(context, this.dots, this.run.particles, place, theme);
    if (this.cursor) this.drawCross(context, ...this.place(...this.cursor), theme);
  }

  drawCross(context, x, y, theme) {
    for (const [color, width] of [
      [theme.dataEdge, 3],
      [theme.crosshair, 1.2],
    ]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ]) {
        context.moveTo(x + 4 * dx, y + 4 * dy);
        context.lineTo(x + 11 * dx, y + 11 * dy);
      }
      context.stroke();
    }
  }
}

/** Draw particles; `place` puts a point on the screen, or returns null where it is hidden. */
export function drawParticles(context, dots, particles, place, theme) {
  const { x, y, count } = particles;
  if (count > TRAILED) {
    dots.begin(context, count > 500 ? 1.5 : 2, theme.samples, theme.samplesEdge, 1);
    for (let i = 0; i < count; i++) {
      const at = place(x[i], y[i]);
      if (at) dots.put(at[0], at[1]);
    }
    dots.end();
    return;
  }
  drawTrails(context, particles, place, theme);
  for (let i = 0; i < count; i++) {
    const at = place(x[i], y[i]);
    if (at) drawDot(context, at[0], at[1], 4, theme.samples, theme.samplesEdge, 1.6);
  }
}

/** Draw where the particles came from. */
function drawTrails(context, particles, place, theme) {
  context.lineJoin = "round";
  for (const [color, width] of [
    [theme.trailEdge, 3],
    [theme.trail, 1.4],
  ]) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.beginPath();
    for (const trail of particles.trails) {
      let drawing = false;
      for (let k = 0; k < trail.length; k += 2) {
        const at = place(trail[k], trail[k + 1]);
        if (at && drawing) context.lineTo(...at);
        else if (at) context.moveTo(...at);
        drawing = at !== null;
      }
    }
    context.stroke();
  }
}
