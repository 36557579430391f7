// Random numbers from a seed, so that a shared link shows the same particles.

export class Random {
  constructor(seed) {
    this.state = new Uint32Array(4);
    let word = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      // splitmix32 fills the state of xoshiro128+
      word = (word + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      this.state[i] = mixed ^ (mixed >>> 15);
    }
    this.spare = NaN;
  }

  /** Return a number in (0, 1). */
  uniform() {
    const s = this.state;
    const sum = (s[0] + s[3]) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return (sum + 0.5) / 4294967296;
  }

  /** Return a standard normal number (Box and Muller). */
  normal() {
    if (this.spare === this.spare) {
      const kept = this.spare;
      this.spare = NaN;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
