"""Hamiltonian Monte Carlo."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.samplers import metropolis
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held, noise_like, squared_norm


@dataclass(frozen=True)
class HMC(Sampler):
    """A frictionless ride over E / temperature with a fresh random momentum p.

        H(x, p) = E(x) / temperature + |p|^2 / 2,    p ~ N(0, I)
        leapfrog:  p <- p - step_size / 2 * dE/dx / temperature;  x <- x + step_size * p;
                   p <- p - step_size / 2 * dE/dx / temperature
        accept (x', p') with probability min(1, exp(H(x, p) - H(x', p'))), else x stays

    Samples exp(-E / temperature) without bias. The leapfrog is stable for step_size below
    2 / sqrt(curvature of E / temperature). A proposal whose H is not finite is rejected.
    `leapfrog_steps` gradients a transition, after one for the start. `compile` compiles the
    energy and its score, which takes seconds once and pays for many steps.

    Reference: Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte
    Carlo, 2011, arXiv:1206.1901.
    """

    step_size: float
    leapfrog_steps: int = 10
    temperature: float = 1.0
    compile: bool = False

    def __init__(
        self,
        step_size: float,
        *,
        leapfrog_steps: int = 10,
        temperature: float = 1.0,
        compile: bool = False,
    ) -> None:
        object.__setattr__(self, "step_size", checks.positive("step_size", step_size))
        object.__setattr__(self, "leapfrog_steps", checks.count("leapfrog_steps", leapfrog_steps))
        object.__setattr__(self, "temperature", checks.positive("temperature", temperature))
        object.__setattr__(self, "compile", compile)

    def leapfrog(self, energy: AnyEnergy, state: State, momentum: Tensor) -> tuple[State, Tensor]:
        """Return the state and the momentum after `leapfrog_steps` leapfrog steps.

        Reversible (flip the momentum and ride back) and volume preserving.
        """
        half = self.step_size / (2 * self.temperature)
        with held(energy):
            momentum = torch.add(momentum, state.score, alpha=half)
            for number in range(1, self.leapfrog_steps + 1):
                x = torch.add(state.x, momentum, alpha=self.step_size)
                state = State(x, *self.evaluate(energy, x))
                # The half kicks of neighboring steps are one.
                kick = half if number == self.leapfrog_steps else 2 * half
                momentum = momentum.add_(state.score, alpha=kick)
        return state, momentum

    def hamiltonian(self, state: State, momentum: Tensor) -> Tensor:
        """Return E / temperature + |p|^2 / 2, (batch,)."""
        return state.energy / self.temperature + squared_norm(momentum) / 2

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> State:
        """Return the state after one ride, accepted or not."""
        momentum = noise_like(state.x, generator)
        proposal, arrived = self.leapfrog(energy, state, momentum)
        log_ratio = self.hamiltonian(state, momentum) - self.hamiltonian(proposal, arrived)
        log_accept = metropolis.log_probability(log_ratio, proposal.energy)
        return metropolis.accept(state, proposal, log_accept, generator)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return (
            f"HMC({self.step_size:g}, leapfrog_steps={self.leapfrog_steps}, "
            f"temperature={self.temperature:g})"
        )
