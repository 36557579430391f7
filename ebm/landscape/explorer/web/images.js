// Energies of images: the picture at a place of the plane, and chains to scrub through.

import { bytesOf, floatsOf } from "./decode.js";
import { fitted } from "./canvas.js";
import { make } from "./controls.js";
import { shortened } from "./charts.js";

/** Draw numbers from 0 to 1 as a picture of [rows, columns, channels]. */
export function drawPicture(canvas, values, [rows, columns, channels]) {
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  const size = rows * columns;
  for (let k = 0; k < size; k++) {
    for (let c = 0; c < 3; c++) {
      const channel = channels === 3 ? c : 0;
      image.data[4 * k + c] = 255 * Math.min(Math.max(values[channel * size + k], 0), 1);
    }
    image.data[4 * k + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The plane x(s, t) = a + s u + t v of images. */
export class ImagePlane {
  constructor({ picture, origin, across, up, low, high, corners }) {
    this.picture = picture;
    this.origin = floatsOf(origin);
    this.across = floatsOf(across);
    this.up = floatsOf(up);
    this.low = low;
    this.high = high;
    this.corners = corners;
  }

  /** Return the pixels at a place of the plane, from 0 to 1. */
  at(x, y) {
    const span = this.high - this.low;
    return this.origin.map(
      (value, k) => (value + x * this.across[k] + y * this.up[k] - this.low) / span,
    );
  }
}

/** The picture under the cursor, and the three corners to go to. */
export class PictureView {
  constructor(plane, go) {
    this.plane = plane;
    this.canvas = make("canvas", { className: "ebm-pixels", role: "img" });
    this.words = make("p", { className: "ebm-caption" });
    const corners = plane.corners.map(([x, y], k) => {
      const small = make("canvas", { className: "ebm-pixels", "aria-hidden": "true" });
      drawPicture(small, plane.at(x, y), plane.picture);
      const label = `Go to image ${"abc"[k]}`;
      return make(
        "button",
        { type: "button", className: "ebm-corner", "aria-label": label, onclick: () => go(x, y) },
        small,
        make("span", {}, "abc"[k]),
      );
    });
    this.element = make(
      "section",
      { className: "ebm-card ebm-images" },
      make("h3", {}, "The picture at the crosshair"),
      make(
        "div",
        { className: "ebm-pictures" },
        this.canvas,
        make("div", { className: "ebm-corners" }, ...corners),
      ),
      this.words,
    );
  }

  /** Show the picture at a place, with its energy. */
  show(x, y, energy) {
    drawPicture(this.canvas, this.plane.at(x, y), this.plane.picture);
    const words = `E = ${shortened(energy)} at (${shortened(x)}, ${shortened(y)})`;
    this.words.textContent = `${words}. Move over the map, or use its arrow keys.`;
    this.canvas.setAttribute("aria-label", `The picture at the crosshair. ${words}`);
  }
}

/** Chains of pictures, recorded in Python, to scrub through. */
export class ChainView {
  constructor(chain, { slider, choice, state, change }) {
    this.chain = chain;
    this.bytes = bytesOf(chain.pictures);
    this.energies = floatsOf(chain.energies);
    this.count = chain.steps.length;
    this.canvas = make("canvas", { className: "ebm-pixels", role: "img" });
    this.curve = make("canvas", { className: "ebm-curve", role: "img" });
    this.record = slider({
      label: "Record of the chain",
      value: Math.min(state.record, this.count - 1),
      places: this.count - 1,
      toValue: (place) => Math.round(place * (this.count - 1)),
      toPlace: (value) => value / (this.count - 1),
      say: (value) => chain.steps[value].toLocaleString("en"),
      change: (record) => change({ record }),
    });
    const names = Object.fromEntries(
      Array.from({ length: chain.chains }, (_, k) => [String(k), String(k + 1)]),
    );
    this.which = choice({
      label: "Chain",
      options: names,
      value: String(Math.min(state.chain, chain.chains - 1)),
      change: (key) => change({ chain: Number(key) }),
    });
    this.element = make(
      "section",
      { className: "ebm-card ebm-images ebm-chain" },
      make("h3", {}, `Chains of ${chain.sampler}`),
      make("div", { className: "ebm-pictures" }, this.canvas, this.curve),
      this.which.element,
      this.record.element,
    );
  }

  energy(record, chain) {
    return this.energies[record * this.chain.chains + chain];
  }

  /** Show one record of one chain, and all energies with it marked. */
  show(record, chain, theme) {
    const at = Math.min(record, this.count - 1);
    const { picture, chains } = this.chain;
    const size = picture[0] * picture[1] * (picture[2] ?? 1);
    const start = (at * chains + chain) * size;
    const values = Float32Array.from(this.bytes.subarray(start, start + size), (b) => b / 255);
    drawPicture(this.canvas, values, picture);
    const words = `record ${this.chain.steps[at]}, E = ${shortened(this.energy(at, chain))}`;
    this.canvas.setAttribute("aria-label", `Chain ${chain + 1}, ${words}`);
    this.curve.setAttribute(
      "aria-label",
      `Energies along the chains. Chain ${chain + 1}: ${words}`,
    );
    this.drawCurve(at, chain, theme);
    this.record.show(at);
    this.which.show(String(chain));
  }

  drawCurve(record, chain, theme) {
    const context = fitted(this.curve);
    const [wide, high] = [this.curve.clientWidth, this.curve.clientHeight];
    const finite = this.energies.filter(Number.isFinite);
    const [low, top] = [Math.min(...finite), Math.max(...finite)];
    const x = (k) => 6 + ((wide - 12) * k) / (this.count - 1);
    const y = (energy) => 6 + ((high - 26) * (top - energy)) / (top - low || 1);
    for (let other = 0; other < this.chain.chains; other++) {
      context.beginPath();
      context.strokeStyle = other === chain ? theme.samplesEdge : theme.followed;
      context.lineWidth = other === chain ? 2 : 1;
      for (let k = 0; k < this.count; k++) context.lineTo(x(k), y(this.energy(k, other)));
      context.stroke();
    }
    context.beginPath();
    context.arc(x(record), y(this.energy(record, chain)), 4.5, 0, 2 * Math.PI);
    context.fillStyle = theme.samples;
    context.fill();
    context.strokeStyle = theme.samplesEdge;
    context.stroke();
    context.fillStyle = theme.quiet;
    context.font = "11px system-ui, sans-serif";
    context.fillText(`E = ${shortened(this.energy(record, chain))}`, 6, high - 4);
  }
}
