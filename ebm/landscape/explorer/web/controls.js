// The controls: plain HTML elements with labels, so that keyboards and screen readers work.

/** Return an element with properties, attributes and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

let numbered = 0;

/** Return a slider; `toValue` and `toPlace` translate between its places and values. */
export function slider({ label, hint, value, places = 200, toValue, toPlace, say, change }) {
  const id = `ebm-${(numbered += 1)}`;
  const output = make("output", { htmlFor: id });
  const input = make("input", { type: "range", id, min: 0, max: places, step: 1 });
  const tell = (now) => {
    output.textContent = say(now);
    input.setAttribute("aria-valuetext", say(now));
    input.style.setProperty("--filled", `${(100 * input.value) / places}%`);
  };
  const show = (now) => {
    input.value = String(Math.round(places * toPlace(now)));
    tell(now);
  };
  input.addEventListener("input", () => {
    const now = toValue(Number(input.value) / places);
    tell(now);
    change(now);
  });
  show(value);
  const name = make("label", { htmlFor: id, title: hint ?? "" }, label);
  const element = make("div", { className: "ebm-slider" }, name, output, input);
  return { element, input, show, name };
}

/** Return how places from 0 to 1 become values between low and high, evenly in log. */
export function logarithmic(low, high, { zero = false } = {}) {
  const span = Math.log(high / low);
  const round = (value) => Number(value.toPrecision(3));
  return {
    toValue: (place) => (zero && place === 0 ? 0 : round(low * Math.exp(span * place))),
    toPlace: (value) => (value <= 0 ? 0 : Math.max(Math.log(value / low) / span, zero ? 0.01 : 0)),
  };
}

/** Return how places from 0 to 1 become values between low and high, evenly. */
export function linear(low, high) {
  return {
    toValue: (place) => Number((low + (high - low) * place).toFixed(6)),
    toPlace: (value) => (high > low ? (value - low) / (high - low) : 0),
  };
}

/** Return one choice out of a few, as radio buttons in a row. */
export function choice({ label, options, value, change }) {
  const name = `ebm-${(numbered += 1)}`;
  const inputs = {};
  const items = Object.entries(options).map(([key, words]) => {
    inputs[key] = make("input", { type: "radio", name, value: key, checked: key === value });
    inputs[key].addEventListener("change", () => change(key));
    return make("label", {}, inputs[key], make("span", {}, words));
  });
  const element = make(
    "fieldset",
    { className: "ebm-choice" },
    make("legend", {}, label),
    make("div", {}, ...items),
  );
  return { element, show: (key) => (inputs[key].checked = true) };
}

/** Return a box to tick. */
export function tick({ label, value, change }) {
  const input = make("input", { type: "checkbox", checked: value });
  input.addEventListener("change", () => change(input.checked));
  const element = make("label", { className: "ebm-tick" }, input, make("span", {}, label));
  return { element, show: (now) => (input.checked = now) };
}

/** Return a button. */
export function button(words, click, { title = "", main = false } = {}) {
  const className = main ? "ebm-button ebm-main" : "ebm-button";
  return make("button", { type: "button", className, title, onclick: click }, words);
}
