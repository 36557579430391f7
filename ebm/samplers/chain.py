"""Run chains and record where they went."""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import as_energy
from ebm.samplers.sampler import AnyEnergy, Sampler, State, held

LONG = 10_000
PATIENCE = 2.0


@dataclass(frozen=True)
class Chain:
    """What was recorded of a batch of chains, on the device of x."""

    positions: Tensor
    """Configurations after every `thin` transitions, (recorded, batch, *shape)."""
    energies: Tensor
    """Their energies, (recorded, batch)."""
    acceptance: Tensor | None
    """Fraction of the `thin` proposals accepted, (recorded, batch); None if none can fail."""
    proposals: Tensor | None
    """The last proposal before each record, shaped like positions; None if not asked for."""
    final: State
    """The state after the last transition, from which the chains go on."""

    @property
    def x(self) -> Tensor:
        """The configurations after the last transition, (batch, *shape)."""
        return self.final.x

    @property
    def samples(self) -> Tensor:
        """All recorded configurations in one batch, (recorded * batch, *shape)."""
        return self.positions.flatten(0, 1)


def chain(
    sampler: Sampler,
    energy: AnyEnergy,
    x: Tensor,
    steps: int,
    *,
    thin: int = 1,
    warmup: int = 0,
    proposals: bool = False,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> Chain:
    """Return the record of `steps` transitions of every chain in the batch.

    The record holds `steps // thin` copies of x (twice as many with `proposals`) and as
    many energies: 1,000 records of 1,000 points in the plane take 8 MB and 4 MB.

    Args:
        sampler: Moves the chains.
        energy: The energy, x -> (batch,).
        x: Where the chains start; it is not changed.
        steps: Transitions after the warm-up.
        thin: Transitions from record to record.
        warmup: Transitions before the first that counts.
        proposals: Record where the chains tried to go too.
        generator: Source of the noise; torch's default if None.
        progress: Show a bar; None shows one if the run is long.

    Raises:
        ValueError: A number is out of range, or the energy is not one number per example.
    """
    checks.count("steps", steps)
    checks.count("thin", thin)
    checks.count("warmup", warmup, least=0)
    if thin > steps:
        raise ValueError(
            f"thin must be at most steps, got thin={thin} and steps={steps}. "
            "Nothing would be recorded."
        )
    checks.offers("sampler", sampler, "transition", "ebm.samplers.MALA(0.02)")
    energy = as_energy(energy)
    state = sampler.init(energy, x)
    with held(energy), _bar(type(sampler).__name__, warmup + steps, shown=progress) as bar:
        record = _Record(state, steps // thin)
        for _ in range(warmup):
            state = sampler.transition(energy, state, generator)
            bar.update()
        for number in range(steps):
            state = sampler.transition(energy, state, generator)
            record.count(state, number // thin, thin)
            if number % thin == thin - 1:
                record.note(state, number // thin, proposals=proposals)
            bar.update()
    return Chain(
        record.positions, record.energies, record.acceptance, record.proposals, final=state
    )


class _Record:
    """Tensors filled in place while the chains run."""

    def __init__(self, state: State, rows: int) -> None:
        self.positions = state.x.new_empty(rows, *state.x.shape)
        self.energies = state.energy.new_empty(rows, *state.energy.shape)
        self.acceptance: Tensor | None = None
        self.proposals: Tensor | None = None

    def count(self, state: State, row: int, thin: int) -> None:
        if state.accepted is None or row == len(self.positions):
            return  # the remainder of steps / thin is run, not recorded
        if self.acceptance is None:
            self.acceptance = self.energies.new_zeros(self.energies.shape)
        self.acceptance[row] += state.accepted / thin

    def note(self, state: State, row: int, *, proposals: bool) -> None:
        self.positions[row] = state.x
        self.energies[row] = state.energy
        if proposals and state.proposal is not None:
            if self.proposals is None:
                self.proposals = torch.empty_like(self.positions)
            self.proposals[row] = state.proposal


def _bar(name: str, steps: int, *, shown: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=steps,
        desc=name,
        unit="step",
        disable=shown is False,
        delay=0.0 if shown or steps > LONG else PATIENCE,
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )
