"""Langevin dynamics: descend the energy and add noise (the unadjusted algorithm, ULA)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.samplers import compiled
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held, noise_like


@dataclass(frozen=True)
class Langevin(Sampler):
    """x <- x - step_size * dE/dx + sqrt(2 * step_size * temperature) * noise.

    Samples exp(-E / temperature) up to a bias of order step_size: on a Gaussian of variance
    v at temperature T the variance of x is T v / (1 - step_size / (2 v)), and there is none
    from step_size = 2 v on. Temperature 0 is gradient descent. One gradient a transition;
    values that are not finite pass through. `compile` compiles the energy and its score, which
    takes seconds once and pays for many steps.

    Step and noise of other code imply a temperature, noise^2 / (2 step_size): pass `noise`
    instead, and the sampler says which it is.

    >>> from ebm.samplers import Langevin
    >>> Langevin(10.0, noise=0.005)  # a recipe for images: E is sampled nearly without heat
    Langevin(10, temperature=1.25e-06)

    Args:
        step_size: How far a step goes along the score.
        temperature: Temperature of the target.
        noise: Standard deviation of a step's noise, in place of the temperature.
        compile: Compile the energy and its score.

    Reference: Roberts & Tweedie, "Exponential convergence of Langevin distributions and
    their discrete approximations", Bernoulli 2(4), 1996.
    """

    step_size: float
    temperature: float = 1.0
    compile: bool = False

    def __init__(
        self,
        step_size: float,
        *,
        temperature: float = 1.0,
        noise: float | None = None,
        compile: bool = False,
    ) -> None:
        object.__setattr__(self, "step_size", checks.positive("step_size", step_size))
        if noise is not None:
            if temperature != 1:
                raise ValueError(
                    f"noise must be given without a temperature, got noise={noise} and "
                    f"temperature={temperature}. One follows from the other."
                )
            temperature = checks.not_negative("noise", noise) ** 2 / (2 * step_size)
        object.__setattr__(self, "temperature", checks.not_negative("temperature", temperature))
        object.__setattr__(self, "compile", compile)

    @property
    def noise_scale(self) -> float:
        """The standard deviation of the noise in one step: sqrt(2 step_size temperature)."""
        return math.sqrt(2 * self.step_size * self.temperature)

    def propose(self, x: Tensor, score: Tensor, noise: Tensor) -> Tensor:
        """Return where x goes, given the score at x and standard normal noise."""
        return torch.add(x, score, alpha=self.step_size).add_(noise, alpha=self.noise_scale)

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after one move; nothing is rejected."""
        with held(energy):
            x = self._moved(state.x, state.score, generator)
            return State(x, *self.evaluate(energy, x))

    def move(
        self, energy: AnyEnergy, x: Tensor, steps: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return x after some moves, at one gradient each, detached."""
        checks.configurations("x", x)
        checks.count("steps", steps)
        with held(energy):
            x = x.clone().detach()
            if self.compile and self.temperature > 0:
                sizes = x.new_tensor(self.step_size), x.new_tensor(self.noise_scale)
                for _ in range(steps):
                    x = compiled.descend(energy, x, noise_like(x, generator), *sizes)
                return x
            for _ in range(steps):
                x = self._moved(x, self.evaluate(energy, x)[1], generator)
        return x

    def _moved(self, x: Tensor, direction: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.temperature == 0:
            return torch.add(x, direction, alpha=self.step_size)
        return self.propose(x, direction, noise_like(x, generator))

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"Langevin({self.step_size:g}, temperature={self.temperature:g})"
