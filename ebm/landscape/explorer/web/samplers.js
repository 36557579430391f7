// The moves of particles, as in ebm.samplers: descent, Langevin, MALA, HMC.

export const SAMPLERS = {
  langevin: { name: "Langevin", move: langevin },
  mala: { name: "MALA", move: mala },
  hmc: { name: "HMC", move: hamiltonian },
};

export const LEAPS = 10;

const here = new Float64Array(3);

/** Move every particle once, and return how many moves were accepted. */
export function advance(particles, surface, { sampler, temperature, stepSize }, random) {
  if (temperature === 0) return descent(particles, surface, stepSize);
  return SAMPLERS[sampler].move(particles, surface, stepSize, temperature, random);
}

/** x <- x - step_size dE/dx, kept in the box. */
function descent(particles, surface, stepSize) {
  const { x, y, slopeX, slopeY, count } = particles;
  for (let i = 0; i < count; i++) {
    const nextX = clamped(x[i] - stepSize * slopeX[i], surface.left, surface.right);
    const nextY = clamped(y[i] - stepSize * slopeY[i], surface.bottom, surface.top);
    surface.look(nextX, nextY, here);
    if (here[0] < Infinity) particles.put(i, nextX, nextY, here);
  }
  return count;
}

/** x <- x - step_size dE/dx + sqrt(2 step_size T) noise, reflected at the box. */
function langevin(particles, surface, stepSize, temperature, random) {
  const { x, y, slopeX, slopeY, count } = particles;
  const noise = Math.sqrt(2 * stepSize * temperature);
  for (let i = 0; i < count; i++) {
    const toX = x[i] - stepSize * slopeX[i] + noise * random.normal();
    const toY = y[i] - stepSize * slopeY[i] + noise * random.normal();
    const nextX = folded(toX, surface.left, surface.right);
    const nextY = folded(toY, surface.bottom, surface.top);
    surface.look(nextX, nextY, here);
    if (here[0] < Infinity) particles.put(i, nextX, nextY, here);
  }
  return count;
}

/** A Langevin step accepted with probability exp(-dE / T) q(x' -> x) / q(x -> x'). */
function mala(particles, surface, stepSize, temperature, random) {
  const { x, y, energy, slopeX, slopeY, count } = particles;
  const variance = 2 * stepSize * temperature;
  const noise = Math.sqrt(variance);
  let accepted = 0;
  for (let i = 0; i < count; i++) {
    const noiseX = random.normal();
    const noiseY = random.normal();
    const nextX = x[i] - stepSize * slopeX[i] + noise * noiseX;
    const nextY = y[i] - stepSize * slopeY[i] + noise * noiseY;
    surface.look(nextX, nextY, here);
    const backX = x[i] - nextX + stepSize * here[1];
    const backY = y[i] - nextY + stepSize * here[2];
    const forward = -(noiseX * noiseX + noiseY * noiseY) / 2;
    const backward = -(backX * backX + backY * backY) / (2 * variance);
    const logRatio = (energy[i] - here[0]) / temperature + backward - forward;
    if (here[0] < Infinity && Math.log(random.uniform()) < logRatio) {
      particles.put(i, nextX, nextY, here);
      accepted++;
    }
  }
  return accepted;
}

/** A ride over E / T with fresh momentum, accepted with probability exp(H - H'). */
function hamiltonian(particles, surface, stepSize, temperature, random) {
  const { x, y, energy, slopeX, slopeY, count } = particles;
  const half = stepSize / (2 * temperature);
  let accepted = 0;
  for (let i = 0; i < count; i++) {
    let momentumX = random.normal();
    let momentumY = random.normal();
    const before = energy[i] / temperature + (momentumX ** 2 + momentumY ** 2) / 2;
    let nextX = x[i];
    let nextY = y[i];
    here[0] = energy[i];
    here[1] = slopeX[i];
    here[2] = slopeY[i];
    for (let leap = 0; leap < LEAPS && here[0] < Infinity; leap++) {
      momentumX -= half * here[1];
      momentumY -= half * here[2];
      nextX += stepSize * momentumX;
      nextY += stepSize * momentumY;
      surface.look(nextX, nextY, here);
      momentumX -= half * here[1];
      momentumY -= half * here[2];
    }
    const after = here[0] / temperature + (momentumX ** 2 + momentumY ** 2) / 2;
    if (after < Infinity && Math.log(random.uniform()) < before - after) {
      particles.put(i, nextX, nextY, here);
      accepted++;
    }
  }
  return accepted;
}

function clamped(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Return the value reflected at both ends until it lies between them. */
function folded(value, low, high) {
  if (value >= low && value <= high) return value;
  const span = high - low;
  const along = Math.abs(value - low) % (2 * span);
  return low + (along > span ? 2 * span - along : along);
}
