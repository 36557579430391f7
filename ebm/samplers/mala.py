"""The Metropolis-adjusted Langevin algorithm."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.samplers import metropolis
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held, noise_like, squared_norm


@dataclass(frozen=True)
class MALA(Sampler):
    """A Langevin step x -> x' accepted with probability min(1, r), else x stays.

        x' = x - step_size * dE/dx + sqrt(2 * step_size * temperature) * noise
        r = exp(-(E(x') - E(x)) / temperature) q(x' -> x) / q(x -> x')
        q(x -> x') = N(x'; x - step_size * dE/dx, 2 * step_size * temperature)

    Samples exp(-E / temperature) without bias: detailed balance holds between every two
    points. A proposal whose energy or score is not finite is rejected. One gradient a
    transition, after one for the start. `compile` compiles the energy and its score, which
    takes seconds once and pays for many steps.

    Reference: Roberts & Tweedie, "Exponential convergence of Langevin distributions and
    their discrete approximations", Bernoulli 2(4), 1996.
    """

    step_size: float
    temperature: float = 1.0
    compile: bool = False

    def __init__(
        self, step_size: float, *, temperature: float = 1.0, compile: bool = False
    ) -> None:
        object.__setattr__(self, "step_size", checks.positive("step_size", step_size))
        object.__setattr__(self, "temperature", checks.positive("temperature", temperature))
        object.__setattr__(self, "compile", compile)

    @property
    def variance(self) -> float:
        """The variance of the proposal: 2 step_size temperature."""
        return 2 * self.step_size * self.temperature

    def propose(self, state: State, noise: Tensor) -> Tensor:
        """Return the proposals, given standard normal noise."""
        x = torch.add(state.x, state.score, alpha=self.step_size)
        return x.add_(noise, alpha=math.sqrt(self.variance))

    def log_proposal(self, x: Tensor, state: State) -> Tensor:
        """Return log q(state -> x), (batch,)."""
        distance = squared_norm((x - state.x).sub_(state.score, alpha=self.step_size))
        size = math.prod(x.shape[1:])
        return -distance / (2 * self.variance) - size / 2 * math.log(2 * math.pi * self.variance)

    def log_accept(self, state: State, proposal: State) -> Tensor:
        """Return the log of the probability to accept the proposal, (batch,)."""
        forward = self.log_proposal(proposal.x, state)
        backward = self.log_proposal(state.x, proposal)
        log_ratio = (state.energy - proposal.energy) / self.temperature + backward - forward
        return metropolis.log_probability(log_ratio, proposal.energy)

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after one proposal, accepted or not."""
        with held(energy):
            x = self.propose(state, noise_like(state.x, generator))
            proposal = State(x, *self.evaluate(energy, x))
            return metropolis.accept(state, proposal, self.log_accept(state, proposal), generator)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"MALA({self.step_size:g}, temperature={self.temperature:g})"
