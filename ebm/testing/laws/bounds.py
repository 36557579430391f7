"""Bounds, and what a collapsed batch costs."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import traits
from ebm.testing import strategies
from ebm.testing.inputs import Number, View
from ebm.testing.law import Vacuous, Violation, close, fail_beyond, law
from ebm.testing.laws.universal import draws_nothing
from ebm.testing.strategies import Case
from ebm.testing.subject import Refused, Subject

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
    word = "below" if sign > 0 else "above"
    message = f"the mean value {value:.6g} is {word} the bound {bound:.6g}."
    fail_beyond(subject, sign * (bound - value), allowed, message, case.arguments)


@law(
    applies=draws_nothing,
    kinds=("gaussian",),
    small=False,
    share=0.04,
    conditions="more dimensions than examples, where the inputs leave them free",
    scale="the loss at normal inputs and the bound; 1e-3 of it, for a descent",
)
def bound_attained(subject: Subject, case: Case, claim: Any) -> None:
    """A descent comes as near as it likes to the stated bound."""
    sign = -1.0 if isinstance(claim, traits.UpperBound) else 1.0
    n = max(3, subject.least) + case.seed % 3
    failure: Violation | None = None
    for shape in ((n, n + 1), (n + 6, 2)):  # a simplex needs many dimensions, whitening few
        ends = _tried(subject, *shape, case.seed, sign)
        if ends and not ends[0][1].matrices:
            raise Vacuous("it takes no views")
        failure = _missed(subject, ends, claim, sign) if ends else failure
        if ends and failure is None:
            return
    if failure is None:
        raise Refused("no start is accepted")
    raise failure


def _missed(
    subject: Subject, ends: list[tuple[float, Case]], claim: Any, sign: float
) -> Violation | None:
    """Return the violation of a bound that no descent from these starts comes near."""
    best, first = ends[0]
    inputs = first.arguments
    bound = sign * _number(claim, first)
    allowed = CLOSE * max(subject.typical, abs(bound))
    free = [end for end in ends[1:] if end[1].kind in {"gaussian", "close"}]
    for descend in (_quasi_newton, _adam):
        for _, start in (ends[0], *free):
            if best - bound <= allowed:
                return None
            leaves = [m.clone().requires_grad_() for m in start.matrices]
            reached = descend(lambda: sign * subject.loss(start.replaced(leaves)), leaves)  # noqa: B023
            if reached < best:
                best, inputs = reached, start.replaced([leaf.detach() for leaf in leaves])
    if best - bound <= allowed:
        return None
    message = f"a descent reaches {sign * best:.6g}, not the bound {sign * bound:.6g}."
    return Violation(message, best - bound, allowed, inputs)


STARTS = ("gaussian", "close", "equal", "simplex", "collapsed", "opposite", "orthonormal")


def _tried(subject: Subject, n: int, d: int, seed: int, sign: float) -> list[tuple[float, Case]]:
    """Return the values at the starts that are accepted, the lowest first."""
    ends: list[tuple[float, Case]] = []
    for kind in STARTS:
        start = subject.case(kind, n, d, seed)
        try:
            value = sign * float(subject.loss(start.arguments).detach())
        except Refused:
            continue
        if math.isfinite(value):
            ends.append((value, start))
    return sorted(ends, key=lambda end: end[0])


def _quasi_newton(value: Callable[[], Tensor], leaves: list[Tensor]) -> float:
    optimizer = torch.optim.LBFGS(leaves, max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value()
        loss.backward()
        for leaf in leaves:
            if leaf.grad is not None:  # an expanded gradient has no flat view
                leaf.grad = leaf.grad.contiguous()
        return loss

    optimizer.step(closure)
    return float(value().detach())


def _adam(value: Callable[[], Tensor], leaves: list[Tensor]) -> float:
    optimizer = torch.optim.Adam(leaves, lr=0.05)
    for step in range(300):
        if step == 200:
            optimizer.param_groups[0]["lr"] = 0.005
        optimizer.zero_grad()
        value().backward()
        optimizer.step()
    return float(value().detach())


def _only_views(subject: Subject) -> str | None:
    if not subject.views or not all(isinstance(i, View | Number) for i in subject.inputs):
        return "it takes other things than views"
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


@law(
    applies=_only_views,
    kinds=("gaussian",),
    small=False,
    conditions="all entries of all views are one number",
    scale="the loss at normal inputs and at the undecided batch",
)
def undecided_value(subject: Subject, case: Case, claim: Any) -> None:
    """A batch whose entries are all one number costs exactly the stated number."""
    entry = (1.0, -2.0, 0.5)[case.seed % 3]
    arguments = case.replaced([torch.full_like(m, entry) for m in case.matrices])
    value = subject.loss(arguments).detach()
    expected = _number(claim, case)
    scale = subject.magnitude(arguments) + abs(expected)
    message = (
        f"all entries equal in {case.n} rows of {case.d} cost {float(value):.6g}, "
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
    "all views, or for all but the last of three, the negatives",
    scale="none: the sign of the difference, beyond 32 eps of float64",
)
def prevents_collapse(subject: Subject, case: Case, claim: Any) -> None:
    """A collapsed batch costs more than the same batch slightly spread, alike in all views."""
    if case.d > 64:
        raise Vacuous("more than 64 dimensions")
    n = case.n if case.kind == "stored" else max(case.n, 2 * case.d)
    views = [view[:1].expand(n, -1).clone() for view in collapsed(case)]
    size = 0.05 * float(views[0][0].norm()) / case.d**0.5
    generator = case.generator()
    noise = _centered(n, case.d, generator)
    spread = [view + size * noise for view in views]
    before = float(subject.loss(case.replaced(views)).detach())
    after = float(subject.loss(case.replaced(spread)).detach())
    if len(views) == 3:
        apart = _centered(n, case.d, generator)
        third = [*spread[:2], views[2] + size * apart]
        after = min(after, float(subject.loss(case.replaced(third)).detach()))
    if not (before == before and after == after):
        raise Vacuous("a collapsed batch has no finite value")
    allowed = 32 * torch.finfo(subject.dtype).eps * max(abs(before), abs(after))
    if before - after <= allowed:
        message = (
            f"a collapsed batch costs {before:.6g}, slightly spread {after:.6g}: "
            "spreading it saves nothing."
        )
        raise Violation(message, after - before, -allowed, case.replaced(spread))


def _centered(n: int, d: int, generator: torch.Generator) -> Tensor:
    """Return noise around zero: a batch that it spreads keeps its mean, and only that counts."""
    noise = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return noise - noise.mean(0)


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


LAWS = (
    lower_bound,
    upper_bound,
    bound_attained,
    collapse_value,
    undecided_value,
    prevents_collapse,
)
