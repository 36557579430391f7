"""Laws of many processes: every rank has the same state, and it is that of one process."""

from typing import Any

import torch
from torch import Tensor

from ebm.testing.law import Violation, law
from ebm.testing.strategies import Case

TOLERANCE = 1e-10
"""Largest difference of a state, in float64, relative to its largest number if above 1."""


@law(small=False, kinds=("gaussian",), share=0.02, scale="none: bit for bit")
def states_agree_on_every_rank(cohort: Any, case: Case, claim: Any) -> None:
    """Every parameter and buffer is the same on every rank after every step, bit for bit."""
    first, *others = (member.digests for member in cohort.members)
    for rank, digests in enumerate(others, start=1):
        if len(digests) != len(first):
            raise Violation(f"rank 0 took {len(first)} steps, rank {rank} took {len(digests)}.")
        for step, (here, there) in enumerate(zip(first, digests, strict=True), start=1):
            unequal = [name for name, digest in here.items() if there.get(name) != digest]
            if unequal or here.keys() != there.keys():
                raise Violation(
                    f"{', '.join(unequal[:4]) or 'the names'} differ on ranks 0 and {rank} after "
                    f"step {step}. Reduce or gather with ebm.distributed what is written there."
                )


@law(small=False, kinds=("gaussian",), share=0.02, scale="1e-10 of the state's largest number")
def processes_are_one(cohort: Any, case: Case, claim: Any) -> None:
    """With shared noise the final states are those of one process on the concatenated batch."""
    alone = cohort.alone.state
    for rank, member in enumerate(cohort.members):
        if member.state.keys() != alone.keys():
            raise Violation(f"rank {rank} has other states than one process.")
        for name, expected in alone.items():
            error, allowed = _error(member.state[name], expected)
            if not error <= allowed:
                message = (
                    f"{name} on rank {rank} is not that of one process. Gather with "
                    "ebm.distributed what a term needs of the whole batch."
                )
                raise Violation(message, error, allowed)


def _error(found: Tensor, expected: Tensor) -> tuple[float, float]:
    if found.shape != expected.shape:
        return float("inf"), 0.0
    found, expected = found.double(), expected.double()
    if not found.numel() or torch.equal(found, expected):
        return 0.0, 0.0
    error = float((found - expected).abs().max())
    return error, TOLERANCE * max(1.0, float(expected.abs().max()))


LAWS = (states_agree_on_every_rank, processes_are_one)
