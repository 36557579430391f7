"""Gibbs sampling of binary units, one at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.states import binary
from ebm.energy import as_energy
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held


@dataclass(frozen=True)
class Gibbs(Sampler):
    """Draw each unit in turn from its probability given all others; units are 0 or 1.

        p(x_i = 1 | rest) = sigmoid((E(x_i = 0) - E(x_i = 1)) / temperature)

    Exact: exp(-E / temperature) is left invariant by every unit's draw. A transition is one
    sweep over all units, at one energy each, and needs no gradient.

    Reference: Geman & Geman, "Stochastic relaxation, Gibbs distributions, and the Bayesian
    restoration of images", IEEE PAMI 6(6), 1984.
    """

    temperature: float = 1.0

    def __init__(self, *, temperature: float = 1.0) -> None:
        object.__setattr__(self, "temperature", checks.positive("temperature", temperature))

    def init(self, energy: AnyEnergy, x: Tensor) -> State:
        """Return the state at x; its score is zero, since none is needed.

        Raises:
            ValueError: x holds anything but zeros and ones.
        """
        x = binary("x", x).clone().detach()
        return State(x, energies(energy, x), torch.zeros_like(x))

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after a sweep over all units."""
        x, here = state.x.flatten(1).clone(), state.energy
        uniform = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        for i in range(x.shape[1]):
            other = x.clone()
            other[:, i] = 1 - x[:, i]
            there = energies(energy, other.view_as(state.x))
            flips = uniform[:, i] < torch.sigmoid((here - there) / self.temperature)
            x = torch.where(flips[:, None], other, x)
            here = torch.where(flips, there, here)
        return State(x.view_as(state.x), here, state.score)


def energies(energy: AnyEnergy, x: Tensor) -> Tensor:
    """Return the energies without a graph, one per example."""
    energy = as_energy(energy)
    checks.own_reach(energy, "a sampler")
    with held(energy), torch.no_grad():
        return checks.one_per_example(energy(x), len(x))
