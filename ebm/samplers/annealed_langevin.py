"""Annealed Langevin dynamics: down a ladder of noise levels, from blurred to sharp."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import as_energy, energy_and_score
from ebm.samplers.langevin import Langevin
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held


@dataclass(frozen=True)
class AnnealedLangevin(Sampler):
    """Langevin dynamics on E(x, sigma) for each sigma of a ladder in turn.

    At every level the step size is step_size * (sigma / last sigma)^2, so that the noise
    of a step keeps its proportion to the level. A transition is one pass down the whole
    ladder; the state's energy and score are those of the last level.

    Args:
        sigmas: Noise levels, from large to small, those that the energy was trained on.
        step_size: Step size at the last level.
        steps: Steps at each level.
        temperature: Temperature at every level.

    Reference: Song & Ermon, "Generative modeling by estimating gradients of the data
    distribution", NeurIPS 2019, arXiv:1907.05600, algorithm 1 (its step is twice ours).
    """

    sigmas: tuple[float, ...]
    step_size: float
    steps: int = 100
    temperature: float = 1.0

    def __init__(
        self,
        sigmas: Sequence[float],
        step_size: float,
        *,
        steps: int = 100,
        temperature: float = 1.0,
    ) -> None:
        levels = tuple(checks.positive("sigmas", sigma) for sigma in sigmas)
        if not levels or list(levels) != sorted(levels, reverse=True):
            raise ValueError(f"sigmas must go from large to small, got {list(sigmas)}. Sort them.")
        object.__setattr__(self, "sigmas", levels)
        object.__setattr__(self, "step_size", checks.positive("step_size", step_size))
        object.__setattr__(self, "steps", checks.count("steps", steps))
        object.__setattr__(self, "temperature", checks.not_negative("temperature", temperature))

    def init(self, energy: AnyEnergy, x: Tensor) -> State:
        """Return the state at x, its energy and score those of the last level."""
        checks.configurations("x", x)
        return self._state(energy, x.clone().detach())

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after a pass down the ladder."""
        x, energy = state.x, as_energy(energy)
        for sigma in self.sigmas:
            ratio = (sigma / self.sigmas[-1]) ** 2
            level = Langevin(self.step_size * ratio, temperature=self.temperature)
            at_level = energy.given(x.new_tensor([sigma]))
            x = level.move(at_level, x, self.steps, generator)
        return self._state(energy, x)

    def _state(self, energy: AnyEnergy, x: Tensor) -> State:
        sigma = x.new_full((len(x),), self.sigmas[-1])
        with held(energy):
            return State(x, *energy_and_score(energy, x, sigma))
