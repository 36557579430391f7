"""What every sampler offers: a state, its transition, and the shorthands `step` and `move`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, as_energy, energy_and_score, evaluating, without_parameters

AnyEnergy = Energy | Callable[..., Tensor]


@dataclass(frozen=True)
class State:
    """Where chains are: configurations, their energies and scores, and what just happened."""

    x: Tensor
    """Configurations, (batch, *shape)."""
    energy: Tensor
    """Energies at x, (batch,)."""
    score: Tensor
    """-dE/dx at x, shaped like x."""
    accepted: Tensor | None = None
    """Which proposals were accepted, (batch,); None where nothing can be rejected."""


@dataclass(frozen=True)
class Sampler:
    """A sampler of exp(-E(x) / temperature); it gets the energy at every call.

    Subclasses define `transition`. Chains are detached, and the energy's parameters, flags
    and train or eval mode are left as they were found, also after an exception.
    """

    def init(self, energy: AnyEnergy, x: Tensor) -> State:
        """Return the state at x.

        Raises:
            ValueError: The energy does not return one number per example.
        """
        x = x.detach()
        with evaluating(energy), without_parameters(energy):
            return State(x, *energy_and_score(energy, x))

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after one transition."""
        raise NotImplementedError(f"{type(self).__name__} must define transition.")

    def step(
        self, energy: AnyEnergy, x: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return x after one transition, detached."""
        return self.move(energy, x, 1, generator)

    def move(
        self, energy: AnyEnergy, x: Tensor, steps: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return x after some transitions, detached; nothing in between is kept."""
        checks.count("steps", steps, least=0)
        energy = as_energy(energy)
        state = self.init(energy, x)
        with evaluating(energy), without_parameters(energy):
            for _ in range(steps):
                state = self.transition(energy, state, generator)
        return state.x


def noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal noise shaped like x, from the generator if there is one."""
    return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
