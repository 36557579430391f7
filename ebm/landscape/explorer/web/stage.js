// What is seen of one run: map with marginals, surface, and what the pointer does to them.

import { SurfaceView } from "./surface.js";
import { MapView, drawParticles } from "./map.js";
import { drawBar, drawMarginal, drawTrace, shortened } from "./charts.js";
import { Dots, fitted } from "./canvas.js";
import { drawHeatmap } from "./heatmap.js";
import { make } from "./controls.js";
import { marginals } from "./law.js";

export class Stage {
  constructor(run, page, { drop, point, turn, titled, beside = [] }) {
    this.run = run;
    this.page = page;
    this.map = new MapView(run, page, { drop, point });
    const hidden = { "aria-hidden": "true" };
    this.top = make("canvas", { className: "ebm-marginal-x", ...hidden });
    this.side = make("canvas", { className: "ebm-marginal-y", ...hidden });
    this.bar = make("canvas", { className: "ebm-bar", ...hidden });
    this.relief = make("canvas", { className: "ebm-picture", ...hidden });
    this.above = make("canvas", {
      className: "ebm-overlay",
      tabIndex: 0,
      role: "application",
      "aria-roledescription": "surface in three dimensions",
      "aria-label": `Surface of ${run.name}. Arrow keys turn and tilt it, plus and minus zoom.`,
    });
    this.surface = new SurfaceView(this.relief);
    this.dots = new Dots();
    this.trace = make("canvas", { className: "ebm-trace", role: "img" });
    this.caption = make("p", { className: "ebm-caption" });
    const [[left, right], [bottom, top]] = page.bounds;
    const ends = (a, b) =>
      make("div", { className: "ebm-ends", ...hidden }, make("span", {}, a), make("span", {}, b));
    const chart = make(
      "div",
      { className: "ebm-joint" },
      this.top,
      this.map.element,
      this.side,
      ends(String(+left.toPrecision(3)), String(+right.toPrecision(3))),
    );
    this.element = make(
      "section",
      { className: "ebm-stage", "aria-label": run.name },
      ...(titled ? [make("h2", {}, run.name)] : []),
      make(
        "div",
        { className: "ebm-views" },
        make("div", { className: "ebm-card" }, chart, this.bar, this.caption),
        make(
          "div",
          { className: "ebm-card ebm-relief" },
          make("div", { className: "ebm-solid" }, this.relief, this.above),
        ),
        ...beside,
        make(
          "div",
          { className: "ebm-card ebm-wide" },
          make("h3", {}, "Energy of the particles"),
          this.trace,
        ),
      ),
    );
    this.extent = { bottom, top };
    this.listen(drop, turn);
  }

  /** Turn the surface by dragging and by keys; a click drops a particle. */
  listen(drop, turn) {
    let from = null;
    let moved = 0;
    this.above.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      moved = 0;
      this.above.setPointerCapture(event.pointerId);
    });
    this.above.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      from = [event.clientX, event.clientY];
      if (moved > 4) turn({ turn: dx * 0.5, tilt: dy * 0.4 });
    });
    const done = (event) => {
      if (from && moved <= 4 && event.type === "pointerup") {
        const box = this.above.getBoundingClientRect();
        const at = this.surface.seen(
          this.run.surface,
          event.clientX - box.left,
          event.clientY - box.top,
        );
        if (at) drop(...at);
      }
      from = null;
    };
    this.above.addEventListener("pointerup", done);
    this.above.addEventListener("pointercancel", done);
    this.above.addEventListener("keydown", (event) => {
      const keys = {
        ArrowLeft: { turn: -6 },
        ArrowRight: { turn: 6 },
        ArrowUp: { tilt: 4 },
        ArrowDown: { tilt: -4 },
        "+": { zoom: 1.1 },
        "=": { zoom: 1.1 },
        "-": { zoom: 1 / 1.1 },
      };
      if (!(event.key in keys)) return;
      event.preventDefault();
      turn(keys[event.key]);
    });
  }

  /** Draw the surface, flat and in three dimensions. */
  drawSurface(state, theme, { draft }) {
    const { run, page } = this;
    const widths = [1.8, 1.1];
    const lines = state.levels
      ? run.levels
          .map((shade, k) => ({ shade, width: widths[k], color: lineOf(shade, theme) }))
          .filter(({ shade }) => Number.isFinite(shade))
      : [];
    drawHeatmap(this.map.picture, run.shades, theme, lines);
    const limit = overshootLimit(state);
    this.map.drawStill(
      {
        points: state.data ? page.decodedPoints : null,
        corners: page.plane?.corners,
        overshoot: limit,
      },
      theme,
    );
    this.surface.draw(
      run.shades,
      run.heights,
      theme,
      lines,
      { ...state, ratio: this.map.ratio },
      { draft },
    );
    const density = state.view === "density";
    drawBar(this.bar, { high: page.high, compression: page.compression, density }, theme);
    this.describe(state, theme);
  }

  describe(state, theme) {
    const { law } = this.run;
    const depth = theme.dark ? "Bright" : "Dark";
    const words =
      state.view === "density"
        ? [`${depth} is likely; the bar gives the share of the highest density.`]
        : [`${depth} is low; the bar gives E above its lowest, ${shortened(this.run.lowest)}.`];
    words.push(`Mean energy of exp(−E/T): ${shortened(law.mean)}.`);
    if (state.levels) words.push("Lines hold half (thick) and 90 % of its mass.");
    if (this.overshoots(state)) words.push("Dots: steps overshoot, the curvature is too large.");
    this.caption.textContent = words.join(" ");
  }

  /** Return whether steps overshoot anywhere. */
  overshoots(state) {
    const limit = overshootLimit(state);
    return this.run.curvature.some((value) => value > limit);
  }

  /** Draw the particles and what they add up to. */
  drawMoving(state, theme) {
    this.map.drawMoving(theme);
    this.drawAbove(theme);
    const counted = marginals(this.run.particles.counts.shares());
    const exact = marginals(this.run.exact);
    drawMarginal(this.top, counted.x, exact.x, theme, false);
    drawMarginal(this.side, counted.y, exact.y, theme, true);
    const { history } = this.run.particles;
    drawTrace(this.trace, history, this.run.law.mean, theme);
    const last = history.at(-1);
    this.trace.setAttribute(
      "aria-label",
      last
        ? `Mean energy of the particles ${shortened(last.mean)}, exact ${shortened(this.run.law.mean)}`
        : "Energies of the particles; none has moved yet",
    );
  }

  drawAbove(theme) {
    const context = fitted(this.above);
    const place = (x, y) => this.surface.place(this.run.surface, x, y);
    drawParticles(context, this.dots, this.run.particles, place, theme);
    if (this.map.cursor) {
      const at = place(...this.map.cursor);
      if (at) this.map.drawCross(context, ...at, theme);
    }
  }
}

/** Return the curvature from which a step of this size overshoots the bottom of a well. */
function overshootLimit({ sampler, temperature, step, leap }) {
  return sampler === "hmc" && temperature > 0 ? (4 * temperature) / (leap * leap) : 2 / step;
}

/** Return the color of a line at a shade: pale on strong colors, strong on pale ones. */
function lineOf(shade, theme) {
  return shade < 0.55 ? theme.contourLow : theme.contourHigh;
}
