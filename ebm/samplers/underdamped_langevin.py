"""Underdamped Langevin dynamics: particles with momentum, friction and noise."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ebm import checks
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held, noise_like


@dataclass(frozen=True)
class MomentumState(State):
    """A state whose particles move."""

    momentum: Tensor | None = None
    """Momenta, shaped like x; None before the first transition draws them."""


@dataclass(frozen=True)
class UnderdampedLangevin(Sampler):
    """dx = p dt,  dp = -dE/dx / temperature dt - friction p dt + sqrt(2 friction) dW.

    One transition is half a kick, half a drift, friction and noise, half a drift, half a
    kick (BAOAB), at one gradient. Samples exp(-E / temperature) up to a bias of order
    step_size^2; on a Gaussian the law of x is exact at every stable step size, those below
    twice the smallest standard deviation. Momentum crosses flat regions faster than
    `Langevin` does. Momenta have variance 1, as in `HMC`.

    Args:
        step_size: Time of one transition.
        friction: Share of momentum lost in a unit of time; large is `Langevin`.
        temperature: Temperature of the target.
        compile: Compile the energy and its score, for seconds once.

    Reference: Leimkuhler & Matthews, "Rational construction of stochastic numerical methods
    for molecular sampling", Applied Mathematics Research eXpress 2013(1), arXiv:1203.5428.
    """

    step_size: float
    friction: float = 1.0
    temperature: float = 1.0
    compile: bool = False

    def __init__(
        self,
        step_size: float,
        *,
        friction: float = 1.0,
        temperature: float = 1.0,
        compile: bool = False,
    ) -> None:
        object.__setattr__(self, "step_size", checks.positive("step_size", step_size))
        object.__setattr__(self, "friction", checks.positive("friction", friction))
        object.__setattr__(self, "temperature", checks.positive("temperature", temperature))
        object.__setattr__(self, "compile", compile)

    def init(self, energy: AnyEnergy, x: Tensor) -> MomentumState:
        """Return the state at x; its momenta are drawn by the first transition."""
        state = super().init(energy, x)
        return MomentumState(state.x, state.energy, state.score)

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> MomentumState:
        """Return the state after a kick, a drift, friction and noise, a drift and a kick."""
        half, force = self.step_size / 2, self.step_size / 2 / self.temperature
        p = state.momentum if isinstance(state, MomentumState) else None
        if p is None:
            p = noise_like(state.x, generator)
        keep = math.exp(-self.friction * self.step_size)
        p = torch.add(p, state.score, alpha=force)
        x = torch.add(state.x, p, alpha=half)
        p = p.mul_(keep).add_(noise_like(x, generator), alpha=math.sqrt(1 - keep**2))
        x = x.add_(p, alpha=half)
        with held(energy):
            moved = State(x, *self.evaluate(energy, x))
        return MomentumState(
            x, moved.energy, moved.score, momentum=p.add_(moved.score, alpha=force)
        )


def reversed_momentum(state: MomentumState) -> MomentumState:
    """Return the state with its particles moving back."""
    return replace(state, momentum=None if state.momentum is None else -state.momentum)
