// Numbers as the page carries them: arrays in base64, energies as 16-bit integers.

const MASKED = 65535;

function bytes(text) {
  const binary = atob(text);
  const found = new Uint8Array(binary.length);
  for (let k = 0; k < binary.length; k++) found[k] = binary.charCodeAt(k);
  return found;
}

/** Return the bytes of a text. */
export function bytesOf(text) {
  return bytes(text);
}

/** Return the 32-bit floats of a text. */
export function floatsOf(text) {
  return new Float32Array(bytes(text).buffer);
}

/** Return energies from integers between 0 and 65534; the one after that is masked. */
export function energiesOf(text, low, high) {
  const whole = new Uint16Array(bytes(text).buffer);
  const unit = (high - low) / (MASKED - 1);
  return Float32Array.from(whole, (value) => (value === MASKED ? NaN : low + unit * value));
}
