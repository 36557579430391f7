"""Gibbs with gradients: flip the unit that the gradient says is most worth flipping."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.states import binary
from ebm.energy import energy_and_score
from ebm.samplers import metropolis
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held


@dataclass(frozen=True)
class GibbsWithGradients(Sampler):
    """Propose a flip by the energy's slope, accept or reject it; units are 0 or 1.

        d_i = (1 - 2 x_i) score_i / temperature        the gain that the slope promises
        q(i | x) = softmax(d / 2)_i
        accept with min(1, exp((E - E') / temperature) q(i | x') / q(i | x))

    Exact for any energy that is defined, and differentiable, between 0 and 1. One gradient
    a transition, whatever the number of units.

    Reference: Grathwohl et al., "Oops I took a gradient: scalable sampling for discrete
    distributions", ICML 2021, arXiv:2102.04509, algorithm 1.
    """

    temperature: float = 1.0

    def __init__(self, *, temperature: float = 1.0) -> None:
        object.__setattr__(self, "temperature", checks.positive("temperature", temperature))

    def init(self, energy: AnyEnergy, x: Tensor) -> State:
        """Return the state at x.

        Raises:
            ValueError: x holds anything but zeros and ones.
        """
        return super().init(energy, binary("x", x))

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after one proposed flip in every chain."""
        forward = self.log_proposal(state.x, state.score)
        unit = torch.multinomial(forward.exp(), 1, generator=generator)
        flat = state.x.flatten(1)
        x = flat.scatter(1, unit, 1 - flat.gather(1, unit)).view_as(state.x)
        with held(energy):
            proposal = State(x, *energy_and_score(energy, x))
        backward = self.log_proposal(proposal.x, proposal.score)
        ratio = (state.energy - proposal.energy) / self.temperature
        ratio = ratio + (backward - forward).gather(1, unit).squeeze(1)
        log_accept = metropolis.log_probability(ratio, proposal.energy)
        return metropolis.accept(state, proposal, log_accept, generator)

    def log_proposal(self, x: Tensor, score: Tensor) -> Tensor:
        """Return log q(i | x) of flipping each unit, (batch, units)."""
        gain = ((1 - 2 * x) * score).flatten(1) / self.temperature
        return torch.log_softmax(gain / 2, dim=1)
