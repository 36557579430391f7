"""What every sampler offers: a state, its transition, and the shorthands `step` and `move`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, energy_and_score, evaluating, without_parameters
from ebm.samplers import compiled

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
    proposal: Tensor | None = None
    """Where the last transition tried to go, shaped like x; None where it always goes."""


@dataclass(frozen=True)
class Sampler:
    """A sampler of exp(-E(x) / temperature); it gets the energy at every call.

    Subclasses define `transition`, and wrap what calls the energy in `held`. Chains are
    detached, and the energy's parameters, flags and train or eval mode are left as they
    were found, also after an exception.
    """

    def init(self, energy: AnyEnergy, x: Tensor) -> State:
        """Return the state at x.

        Raises:
            TypeError: x is no floating-point tensor.
            ValueError: The energy does not return one number per example, or depends on the
                rest of the batch.
        """
        checks.configurations("x", x)
        with held(energy):
            # A tensor made in inference mode cannot be differentiated; its copy can.
            return State(x := x.clone().detach(), *self.evaluate(energy, x))

    def evaluate(self, energy: AnyEnergy, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies and scores of the chains; compiled if the sampler asks for it."""
        if getattr(self, "compile", False):
            return compiled.evaluate(energy, x)
        return energy_and_score(energy, x)

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
        checks.count("steps", steps)
        state = self.init(energy, x)
        with held(energy):
            for _ in range(steps):
                state = self.transition(energy, state, generator)
        return state.x


@contextmanager
def held(energy: AnyEnergy) -> Iterator[None]:
    """Hold an energy still: eval mode, parameters out of the graph, inference mode off."""
    with evaluating(energy), without_parameters(energy), torch.inference_mode(mode=False):
        yield


def noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal noise shaped like x, from the generator if there is one."""
    return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def squared_norm(x: Tensor) -> Tensor:
    """Return |x|^2 of each example, summed in at least float32."""
    rows = x[:, None].flatten(1)  # a batch of plain numbers has no further axis
    return rows.square().sum(-1, dtype=torch.promote_types(x.dtype, torch.float32))
