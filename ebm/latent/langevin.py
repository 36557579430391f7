"""Inference at a finite temperature: samples of exp(-E(x, z) / temperature) over z."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import as_energy
from ebm.latent.inference import AnyEnergy, Inference, Inferred, starting
from ebm.samplers import Langevin as Sampler


@dataclass(frozen=True, eq=False)
class Langevin(Inference):
    """z <- z - step_size * dE/dz + sqrt(2 * step_size * temperature) * noise.

    Warm inference: the end of a chain is a sample of the posterior of z, so it may lie above
    its start, and nothing converges.

    Args:
        step_size: Length of a step, in units of z^2 / E.
        temperature: Temperature of the posterior.
        steps: Length of the chain.
        start: Rule that finds where chains begin; the energy's own start if None.
    """

    step_size: float
    temperature: float = 1.0
    steps: int = 100
    start: Inference | None = None

    def __post_init__(self) -> None:
        checks.positive("step_size", self.step_size)
        checks.not_negative("temperature", self.temperature)
        checks.count("steps", self.steps)

    def solve(
        self,
        energy: AnyEnergy,
        x: Tensor,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Inferred:
        """Return the ends of the chains, one for each example."""
        energy = as_energy(energy)
        z, x = starting(energy, self.start, x, z), x.detach()
        sampler = Sampler(self.step_size, temperature=self.temperature)

        def posterior(z: Tensor) -> Tensor:
            return energy(x, z)

        z = sampler.move(posterior, z, self.steps, generator)
        with torch.no_grad():
            values = energy(x, z)
        return Inferred(z, values, torch.zeros_like(values, dtype=torch.bool))
