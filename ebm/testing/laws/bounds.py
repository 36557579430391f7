"""Bounds, and what a collapsed batch costs."""

from typing import Any

import torch
from torch import Tensor

from ebm import traits
from ebm.testing import strategies
from ebm.testing.inputs import View
from ebm.testing.law import Vacuous, Violation, close, law
from ebm.testing.laws.universal import draws_nothing
from ebm.testing.strategies import Case
from ebm.testing.subject import Subject

CLOSE = 1e-3
"""How near to an attained bound a descent has to come, in units of S."""


@law(applies=draws_nothing)
def lower_bound(subject: Subject, case: Case, claim: Any) -> None:
    """No input gives a mean value below the bound."""
    _bounded(subject, case, _number(claim, case), 1.0)


@law(applies=draws_nothing)
def upper_bound(subject: Subject, case: Case, claim: Any) -> None:
    """No input gives a mean value above the bound."""
    _bounded(subject, case, _number(claim, case), -1.0)


def _bounded(subject: Subject, case: Case, bound: float, sign: float) -> None:
    value = float(subject.loss(case.arguments).detach())
    scale = subject.magnitude(case.arguments)
    allowed = 32 * subject.eps * scale
    if sign * (bound - value) > allowed:
        word = "below" if sign > 0 else "above"
        message = f"the mean value {value:.6g} is {word} the bound {bound:.6g}."
        raise Violation(message, abs(value - bound), allowed, case.arguments)


@law(
    applies=draws_nothing,
    kinds=("gaussian",),
    small=False,
    least=3,
    share=0.04,
    conditions="more dimensions than examples, where the inputs leave them free",
    scale="the loss at normal inputs; 1e-3 of it, for a descent of 400 steps",
)
def bound_attained(subject: Subject, case: Case, claim: Any) -> None:
    """A descent from a normal batch comes as near as it likes to the stated bound."""
    n = 3 + case.seed % 3
    start = subject.case("gaussian", n, n + 1, case.seed)
    leaves = [m.clone().requires_grad_() for m in start.matrices]
    if not leaves:
        raise Vacuous
    sign = -1.0 if isinstance(claim, traits.UpperBound) else 1.0
    optimizer = torch.optim.Adam(leaves, lr=0.05)
    best = float("inf")
    for step in range(400):
        if step == 250:
            optimizer.param_groups[0]["lr"] = 0.005
        optimizer.zero_grad()
        loss = sign * subject.loss(start.replaced(leaves))
        loss.backward()
        optimizer.step()
        best = min(best, float(loss.detach()))
    bound = sign * _number(claim, start)
    allowed = CLOSE * max(subject.typical, abs(bound))
    if best - bound > allowed:
        message = f"400 steps of descent reach {sign * best:.6g}, not the bound {sign * bound:.6g}."
        inputs = start.replaced([leaf.detach() for leaf in leaves])
        raise Violation(message, best - bound, allowed, inputs)


def _only_views(subject: Subject) -> str | None:
    if not all(isinstance(item, View) for item in subject.inputs):
        return "it takes more than views"
    if len({item.dim for item in subject.inputs if isinstance(item, View)}) > 1:
        return "its views have different dimensions"
    return draws_nothing(subject)


@law(
    applies=_only_views,
    kinds=strategies.GENERIC,
    conditions="all rows of all views are one nonzero vector",
    scale="the loss at normal inputs and at the collapsed batch",
)
def collapse_value(subject: Subject, case: Case, claim: Any) -> None:
    """A batch whose rows are all one vector costs exactly the stated number."""
    views = collapsed(case)
    arguments = case.replaced(views)
    value = subject.loss(arguments).detach()
    expected = _number(claim, case)
    scale = subject.magnitude(arguments) + abs(expected)
    message = (
        f"all {case.n} rows equal in {case.d} dimensions cost {float(value):.6g}, "
        f"not {expected:.6g}."
    )
    close(subject, value, torch.tensor(expected, dtype=torch.float64), scale, message, arguments)


def _collapsible(subject: Subject) -> str | None:
    return _only_views(subject)


@law(
    applies=_collapsible,
    kinds=strategies.GENERIC,
    least=8,
    least_dim=2,
    small=False,
    conditions="8 examples or more, 2 dimensions to n / 2; spread 0.05 of the vector, one for "
    "all views",
    scale="none: the sign of the difference, beyond 32 eps of float64",
)
def prevents_collapse(subject: Subject, case: Case, claim: Any) -> None:
    """A collapsed batch costs more than the same batch slightly spread, alike in all views."""
    if case.d > max(2, case.n // 2):
        raise Vacuous
    views = collapsed(case)
    noise = torch.randn(case.n, case.d, generator=case.generator(), dtype=torch.float64)
    spread = [view + 0.05 * float(view[0].norm()) * noise / case.d**0.5 for view in views]
    before = float(subject.loss(case.replaced(views)).detach())
    after = float(subject.loss(case.replaced(spread)).detach())
    if not (before == before and after == after):
        raise Vacuous
    allowed = 32 * torch.finfo(subject.dtype).eps * max(abs(before), abs(after))
    if before - after <= allowed:
        message = (
            f"a collapsed batch costs {before:.6g}, slightly spread {after:.6g}: "
            "nothing drives the embeddings apart."
        )
        raise Violation(message, after - before, -allowed, case.replaced(spread))


def collapsed(case: Case) -> list[Tensor]:
    """Return the views with every row replaced by the first row of the first view."""
    if not case.matrices:
        raise Vacuous
    row = case.matrices[0][:1]
    if float(row.norm()) < 1e-3:
        raise Vacuous
    return [row.expand_as(m).clone() for m in case.matrices]


def _number(claim: Any, case: Case) -> float:
    return traits.evaluate(getattr(claim, "value", 0.0), case.n, case.d)


LAWS = (lower_bound, upper_bound, bound_attained, collapse_value, prevents_collapse)
