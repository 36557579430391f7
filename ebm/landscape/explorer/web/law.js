// The law exp(-E / T) / Z on the box: its marginals, its mean energy, its levels of mass.

const FINE = 160;

export class Law {
  /** Look at the surface in the middles of 160 x 160 cells. */
  constructor(surface) {
    const here = new Float64Array(3);
    const dx = (surface.right - surface.left) / FINE;
    const dy = (surface.top - surface.bottom) / FINE;
    this.masses = new Float64Array(FINE * FINE);
    this.energies = new Float64Array(FINE * FINE);
    this.lowest = Infinity;
    for (let j = 0; j < FINE; j++) {
      for (let i = 0; i < FINE; i++) {
        surface.look(surface.left + (i + 0.5) * dx, surface.bottom + (j + 0.5) * dy, here);
        this.energies[j * FINE + i] = here[0];
        this.lowest = Math.min(this.lowest, here[0]);
      }
    }
    this.sorted = this.energies.slice().sort();
  }

  /** Share the mass out at a temperature. */
  warm(temperature) {
    this.temperature = Math.max(temperature, 1e-9);
    let total = 0;
    for (let k = 0; k < this.masses.length; k++) {
      this.masses[k] = Math.exp((this.lowest - this.energies[k]) / this.temperature);
      total += this.masses[k];
    }
    this.total = total;
    this.mean = 0;
    for (let k = 0; k < this.masses.length; k++) {
      this.masses[k] /= total;
      if (this.masses[k] > 0) this.mean += this.masses[k] * this.energies[k];
    }
  }

  /** Return the masses of cells x cells equal parts of the box, row by row. */
  binned(cells) {
    const found = new Float64Array(cells * cells);
    const part = (k) => Math.floor((k * cells) / FINE);
    for (let j = 0; j < FINE; j++) {
      for (let i = 0; i < FINE; i++) {
        found[part(j) * cells + part(i)] += this.masses[j * FINE + i];
      }
    }
    return found;
  }

  /** Return the energies below which these shares of the mass lie. */
  levels(shares) {
    const found = [];
    let mass = 0;
    for (const energy of this.sorted) {
      mass += Math.exp((this.lowest - energy) / this.temperature) / this.total;
      while (found.length < shares.length && mass >= shares[found.length]) found.push(energy);
      if (found.length === shares.length) break;
    }
    while (found.length < shares.length) found.push(Infinity);
    return found;
  }
}

/** Return the sums over the rows and over the columns of a square of numbers. */
export function marginals(square) {
  const cells = Math.sqrt(square.length);
  const x = new Float64Array(cells);
  const y = new Float64Array(cells);
  square.forEach((value, k) => {
    x[k % cells] += value;
    y[Math.floor(k / cells)] += value;
  });
  return { x, y };
}

/** Return half the sum of the differences of two laws on the same cells. */
export function totalVariation(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += Math.abs(a[k] - b[k]);
  return sum / 2;
}
