// Small charts: the marginals beside the map, the energies over time, the color bar.

import { grown, indexOf, ticksOf } from "./colors.js";
import { fitted } from "./canvas.js";

const FONT = "11px system-ui, sans-serif";

/** Draw the particles' share in each cell as bars, and the exact one as a line. */
export function drawMarginal(canvas, counted, exact, theme, upright) {
  const context = fitted(canvas);
  const along = upright ? canvas.clientHeight : canvas.clientWidth;
  const tall = (upright ? canvas.clientWidth : canvas.clientHeight) - 4;
  const cells = exact.length;
  const top = Math.max(...exact, ...counted.map((value) => Math.min(value, 1))) || 1;
  const most = Math.min(top, 2.2 * Math.max(...exact) || 1) * 1.05;
  const wide = along / cells;
  const reach = (value) => Math.min(value / most, 1) * tall;
  context.fillStyle = theme.bars;
  for (let k = 0; k < cells; k++) {
    const length = reach(counted[k]);
    if (upright) context.fillRect(0, along - (k + 1) * wide + 0.5, length, wide - 1);
    else context.fillRect(k * wide + 0.5, tall + 4 - length, wide - 1, length);
  }
  context.beginPath();
  context.strokeStyle = theme.ink;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  for (let k = 0; k < cells; k++) {
    const at = (k + 0.5) * wide;
    if (upright) context.lineTo(1 + reach(exact[k]), along - at);
    else context.lineTo(at, tall + 3 - reach(exact[k]));
  }
  context.stroke();
}

/** Draw the energies of the particles over their moves, and the exact mean. */
export function drawTrace(canvas, history, exactMean, theme) {
  const context = fitted(canvas);
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  const left = 46;
  const bottom = high - 18;
  context.font = FONT;
  context.fillStyle = theme.quiet;
  if (history.length < 2) {
    context.textAlign = "center";
    context.fillText("Energies appear here when particles move.", wide / 2, high / 2);
    return;
  }
  const ends = history.flatMap((record) => [record.low, record.high, record.mean]);
  let low = Math.min(...ends, exactMean);
  let top = Math.max(...ends, exactMean);
  const room = 0.08 * (top - low) || 0.5;
  [low, top] = [low - room, top + room];
  const first = history[0].move;
  const last = Math.max(history.at(-1).move, first + 1);
  const x = (move) => left + ((wide - left - 8) * (move - first)) / (last - first);
  const y = (energy) => 6 + ((bottom - 6) * (top - energy)) / (top - low);
  ruled(context, [low, top], [left, wide - 8], y, theme);
  context.beginPath();
  for (const record of history) context.lineTo(x(record.move), y(record.high));
  for (const record of [...history].reverse()) context.lineTo(x(record.move), y(record.low));
  context.fillStyle = theme.band;
  context.fill();
  const line = (value, color, width) => {
    context.beginPath();
    context.strokeStyle = color;
    context.lineWidth = width;
    for (const record of history) {
      if (value(record) !== undefined) context.lineTo(x(record.move), y(value(record)));
    }
    context.stroke();
  };
  const followed = history.at(-1).followed.length;
  context.save();
  context.beginPath();
  context.rect(left, 0, wide - left, bottom);
  context.clip();
  for (let k = 0; k < followed; k++) line((r) => r.followed[k], theme.followed, 0.8);
  line((record) => record.mean, theme.samplesEdge, 2);
  context.restore();
  context.setLineDash([5, 4]);
  context.beginPath();
  context.strokeStyle = theme.ink;
  context.lineWidth = 1.2;
  context.moveTo(left, y(exactMean));
  context.lineTo(wide - 8, y(exactMean));
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = theme.quiet;
  context.textAlign = "right";
  context.fillText(`move ${last.toLocaleString("en")}`, wide - 8, high - 4);
  context.textAlign = "left";
  context.fillText(first.toLocaleString("en"), left, high - 4);
}

/** Draw faint horizontal lines at round numbers. */
function ruled(context, [low, top], [left, right], y, theme) {
  const step = niceStep((top - low) / 4);
  context.textAlign = "right";
  context.strokeStyle = theme.rule;
  context.lineWidth = 1;
  for (let value = Math.ceil(low / step) * step; value <= top; value += step) {
    context.beginPath();
    context.moveTo(left, y(value));
    context.lineTo(right, y(value));
    context.stroke();
    context.fillText(shortened(value), left - 6, y(value) + 4);
  }
}

function niceStep(rough) {
  const unit = 10 ** Math.floor(Math.log10(rough));
  return unit * [1, 2, 5, 10].find((times) => times * unit >= rough);
}

/** Return a number in few digits. */
export function shortened(value) {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value) >= 1e5 ? value.toExponential(1) : String(+value.toPrecision(3));
  return text.replace("-", "−");
}

/** Draw the color bar of energies above their lowest, or of densities. */
export function drawBar(canvas, { high, compression, density }, theme) {
  const context = fitted(canvas);
  const [wide, tall] = [canvas.clientWidth, canvas.clientHeight];
  const [left, right] = [8, wide - 10];
  for (let x = left; x < right; x++) {
    const share = (x - left) / (right - left);
    const color = indexOf(density ? 1 - share : share);
    context.fillStyle = `rgb(${theme.field.subarray(color, color + 3).join(" ")})`;
    context.fillRect(x, 0, 1.5, 9);
  }
  context.font = FONT;
  context.fillStyle = theme.quiet;
  context.textAlign = "center";
  const ticks = density ? [0, 0.5, 1] : ticksOf(high, compression, wide < 300 ? 4 : 6);
  for (const tick of ticks) {
    const share = density ? tick : grown(tick, high, compression);
    context.fillText(shortened(tick), left + share * (right - left), tall - 1);
  }
}
