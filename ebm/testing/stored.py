"""Stored counterexamples: the batch on which a law fails, and how small it can be made."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ebm.testing import strategies
from ebm.testing.inputs import View
from ebm.testing.law import Law, Vacuous, Violation
from ebm.testing.strategies import Case
from ebm.testing.subject import Refused, Subject, quiet
from ebm.traits import Not, Trait

SIMPLE = (1.0, 0.0, -1.0)
"""The numbers that a reader takes in at a glance, the simplest first."""

PLAIN = 100.0
"""A small counterexample is off by this many times what is allowed: no rounding explains it."""


def counterexample(trait: Not, subject: Subject) -> Case | None:
    """Return the stored case of a negative trait, None if it stores none."""
    if not trait.counterexample:
        return None
    views = [torch.tensor(rows, dtype=torch.float64) for rows in trait.counterexample]
    return strategies.case(subject.inputs, views, "stored", 0)


def refuted(
    law: Law, subject: Subject, claim: Trait | None, case: Case, *, tries: int = 8
) -> Violation | None:
    """Return how the law fails on this case, under one of some transformations, or None."""
    with quiet():
        for seed in range(tries):
            try:
                law.check(subject, replace(case, seed=seed), claim)
            except Violation as violation:
                return violation
            except (Vacuous, Refused):
                continue
    return None


def smallest(law: Law, subject: Subject, claim: Trait | None, case: Case) -> Violation | None:
    """Return how the law fails on a part of this case, its numbers as simple as they may be.

    Rows and columns are left out and numbers become 1, 0 or -1, one after the other, as long as
    the law goes on failing plainly.

    Args:
        law: The law.
        subject: What it fails on.
        claim: The trait that is tested, where it carries numbers.
        case: Where to start from.
    """
    found = refuted(law, subject, claim, case)
    places = [i for i, item in enumerate(subject.inputs) if isinstance(item, View)]
    if found is None or len(places) != len(subject.inputs):
        return found

    def tried(views: Sequence[Tensor]) -> Violation | None:
        if any(float(view.norm(dim=1).min()) < 1e-6 for view in views):
            return None
        part = strategies.case(subject.inputs, views, case.kind, 0)
        violation = refuted(law, subject, claim, part, tries=3)
        plain = violation is not None and violation.measured > PLAIN * violation.allowed
        return violation if plain else None

    views, changed = case.matrices, True
    least = (max(law.least, subject.least), law.least_dim)
    while changed:
        changed = False
        for simpler in (*_smaller(views, *least), *_simpler(views)):
            violation = tried(simpler)
            if violation is not None:
                found, views, changed = violation, simpler, True
                break
    return found


def _smaller(views: Sequence[Tensor], rows: int, columns: int) -> Iterator[list[Tensor]]:
    """Yield the views without one of their rows, then without one of their columns."""
    for axis, least in enumerate((rows, columns)):
        size = views[0].shape[axis]
        for gone in range(size) if size > least else ():
            kept = torch.tensor([i for i in range(size) if i != gone])
            yield [view.index_select(axis, kept) for view in views]


def _simpler(views: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the views with one number replaced by a simpler one."""
    for place, view in enumerate(views):
        for row, column in itertools.product(*map(range, view.shape)):
            for number in SIMPLE:
                if float(view[row, column]) == number:
                    break
                changed = [v.clone() for v in views]
                changed[place][row, column] = number
                yield changed
