"""Block Gibbs sampling for energies that know their conditionals."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm.energies.states import binary
from ebm.samplers.gibbs import energies
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held


@dataclass(frozen=True)
class BlockGibbs(Sampler):
    """Draw whole blocks of units at once, as the energy's `gibbs(x, generator)` does.

    For a restricted Boltzmann machine a transition draws all hidden units given the visible
    ones and all visible units given the hidden ones. Exact, at temperature 1.
    """

    def init(self, energy: AnyEnergy, x: Tensor) -> State:
        """Return the state at x; its score is zero, since none is needed."""
        x = binary("x", x).clone().detach()
        return State(x, energies(energy, x), torch.zeros_like(x))

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after all blocks were drawn once.

        Raises:
            TypeError: The energy has no method `gibbs`.
        """
        with held(energy), torch.no_grad():
            x = _with_blocks(energy).gibbs(state.x, generator)
        return State(x, energies(energy, x), state.score)


def _with_blocks(energy: AnyEnergy) -> Any:
    # Not a part of the energy: a scaled or summed energy has other conditionals.
    for candidate in (energy, getattr(energy, "function", None)):
        if hasattr(candidate, "gibbs"):
            return candidate
    raise TypeError(
        f"energy must have a method gibbs(x, generator), got {type(energy).__name__}. "
        "Use Gibbs, which needs the energy alone."
    )
