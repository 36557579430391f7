"""Parallel tempering: hot chains cross barriers and hand what they find to cold ones."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ebm.samplers.sampler import AnyEnergy, Sampler, State


@dataclass(frozen=True)
class TemperedState(State):
    """The coldest chain's state, and those of all chains."""

    replicas: tuple[State, ...] = ()
    """One state for each sampler, the coldest first."""
    swapped: Tensor | None = None
    """Which swaps were accepted, (pairs, batch); pairs out of turn count as not."""
    turn: int = 0
    """Which pairs swap next: those that begin at an even or an odd chain."""


@dataclass(frozen=True)
class ParallelTempering(Sampler):
    """Chains at rising temperatures, each moved by its own sampler, with neighbors swapped.

        accept a swap with min(1, exp((1/T_i - 1/T_j) (E_i - E_j)))

    The coldest chain is the sample. Exact if every sampler is; with `Langevin` the chains
    keep their own bias. A transition moves every chain once, and then swaps neighbors,
    alternately those from even and from odd chains on.

    Args:
        samplers: One for each temperature, the coldest first:
            `[MALA(0.1), MALA(0.3, temperature=3.0), MALA(1.0, temperature=10.0)]`.

    Reference: Geyer, "Markov chain Monte Carlo maximum likelihood", 1991; Earl & Deem,
    "Parallel tempering: theory, applications, and new perspectives", PCCP 7, 2005,
    arXiv:physics/0508111, eq. 3.
    """

    samplers: tuple[Sampler, ...]

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        temperatures = [float(getattr(sampler, "temperature", 0)) for sampler in samplers]
        rising = all(0 < a < b for a, b in itertools.pairwise(temperatures))
        if len(samplers) < 2 or not rising:
            raise ValueError(
                "samplers must be at least two with rising temperatures, got "
                f"{temperatures}. Write [MALA(0.1), MALA(0.3, temperature=3.0)]."
            )
        object.__setattr__(self, "samplers", tuple(samplers))

    @property
    def temperature(self) -> float:
        """The temperature of the coldest chain."""
        return self.temperatures[0]

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures, rising."""
        return tuple(sampler.temperature for sampler in self.samplers)  # pyright: ignore[reportAttributeAccessIssue]

    def init(self, energy: AnyEnergy, x: Tensor) -> TemperedState:
        """Return the state with every chain at x."""
        states = tuple(sampler.init(energy, x) for sampler in self.samplers)
        return self._state(states, None, 0)

    def transition(
        self, energy: AnyEnergy, state: State, generator: torch.Generator | None = None
    ) -> TemperedState:
        """Return the state after one move of each chain and the swaps whose turn it is."""
        if not isinstance(state, TemperedState):
            state = self.init(energy, state.x)
        states = [
            sampler.transition(energy, replica, generator)
            for sampler, replica in zip(self.samplers, state.replicas, strict=True)
        ]
        swapped = torch.zeros(
            len(states) - 1, len(state.x), dtype=torch.bool, device=state.x.device
        )
        for i in range(state.turn, len(states) - 1, 2):
            cold, hot = self.temperatures[i], self.temperatures[i + 1]
            log_accept = log_swap(states[i].energy, states[i + 1].energy, cold, hot)
            uniform = torch.rand(
                log_accept.shape,
                dtype=log_accept.dtype,
                device=log_accept.device,
                generator=generator,
            )
            swapped[i] = uniform.log() < log_accept
            states[i], states[i + 1] = (
                _chosen(swapped[i], states[i + 1], states[i]),
                _chosen(swapped[i], states[i], states[i + 1]),
            )
        return self._state(tuple(states), swapped, 1 - state.turn)

    def _state(self, states: tuple[State, ...], swapped: Tensor | None, turn: int) -> TemperedState:
        first = states[0]
        return TemperedState(
            first.x,
            first.energy,
            first.score,
            first.accepted,
            first.proposal,
            replicas=states,
            swapped=swapped,
            turn=turn,
        )


def log_swap(energy_i: Tensor, energy_j: Tensor, cold: float, hot: float) -> Tensor:
    """Return log min(1, ratio) of exchanging states with these energies, (batch,)."""
    return ((1 / cold - 1 / hot) * (energy_i - energy_j)).clamp(max=0)


def _chosen(mask: Tensor, yes: Any, no: Any) -> Any:
    """Return the state that has the rows of `yes` where the mask holds."""
    changes = {}
    for field in fields(no):
        a, b = getattr(yes, field.name), getattr(no, field.name)
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            changes[field.name] = torch.where(mask.view(-1, *[1] * (b.ndim - 1)), a, b)
    return replace(no, **changes)
