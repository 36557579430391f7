// The state of the page as a short text: what follows # in the address, to be shared.

/** What can be set, what it is at first, and how it is written. */
export const FIELDS = {
  view: word("energy", ["energy", "density"]),
  sampler: word("langevin", ["langevin", "mala", "hmc"]),
  temperature: number(1, 0, 1e6),
  step: number(0.01, 1e-9, 1e6),
  leap: number(0.1, 1e-9, 1e6),
  speed: number(2, 1, 64),
  weights: list(),
  frame: number(-1, -1, 1e6),
  turn: number(-32, -360, 360),
  tilt: number(48, 5, 85),
  zoom: number(1, 0.5, 3),
  drops: list(),
  scattered: number(0, 0, 20000),
  seed: number(1, 0, 2 ** 31),
  data: flag(true),
  levels: flag(true),
  playing: flag(true),
  theme: word("auto", ["auto", "light", "dark"]),
  cursor: list(),
  record: number(0, 0, 1e6),
  chain: number(0, 0, 1e6),
};

function number(start, low, high) {
  const read = (text) => Math.min(Math.max(Number(text), low), high);
  return {
    start,
    write: brief,
    read: (text) => (text && Number(text) === Number(text) ? read(text) : start),
  };
}

function word(start, known) {
  return { start, write: String, read: (text) => (known.includes(text) ? text : start) };
}

function flag(start) {
  return { start, write: (value) => (value ? "1" : "0"), read: (text) => text === "1" };
}

function list() {
  const read = (text) => text.split(",").filter(Boolean).map(Number).filter(Number.isFinite);
  return { start: [], write: (values) => values.map(brief).join(","), read };
}

/** Return a number in as few digits as are needed. */
function brief(value) {
  return String(Number(Number(value).toPrecision(6)));
}

/** Return what every field is at first, unless the page says otherwise. */
export function starting(given = {}) {
  const state = {};
  for (const [name, { start }] of Object.entries(FIELDS)) {
    state[name] = Array.isArray(start) ? [...start] : start;
  }
  return { ...state, ...given };
}

/** Return the text of a state: only what differs from the start. */
export function written(state, start) {
  return Object.entries(FIELDS)
    .map(([name, { write }]) => [name, write(state[name]), write(start[name])])
    .filter(([, now, before]) => now !== before)
    .map(([name, now]) => `${name}=${now}`)
    .join("&");
}

/** Return the state that a text stands for. */
export function read(text, start) {
  const state = structuredClone(start);
  for (const pair of text.replace(/^#/, "").split("&")) {
    const [name, value] = pair.split("=");
    if (Object.hasOwn(FIELDS, name) && value !== undefined) {
      state[name] = FIELDS[name].read(decodeURIComponent(value));
    }
  }
  return state;
}
