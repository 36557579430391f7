"""Laws that every energy and every loss obeys, whatever it computes."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ebm.energy import Energy
from ebm.testing import strategies
from ebm.testing.law import Vacuous, Violation, close, law
from ebm.testing.strategies import Case
from ebm.testing.subject import Refused, Subject, is_floating
from ebm.traits import BatchPermutation, Not, Random, StopGradient

FAR = 30.0
"""Energies of one configuration are tried up to here: a funnel overflows beyond."""


def draws_nothing(subject: Subject) -> str | None:
    """Return why a subject that draws random numbers cannot be compared with itself."""
    return "it draws random numbers" if subject.random else None


def _cure(shape: tuple[int, ...], n: int) -> str:
    if shape == (n, 1):
        return "Add .squeeze(-1): (n, 1) broadcasts silently against (n,)."
    if len(shape) > 1 and shape[0] == n:
        return "Reduce all but the batch axis, or take the mean."
    return "Return one value per example, or one for the batch."


@law(universal=True, scale="none: the shape is exact", conditions="at least two examples")
def shape(subject: Subject, case: Case, claim: Any) -> None:
    """The value is one floating-point number for the batch, (), or one per example, (n,)."""
    value = subject.raw(case.arguments)
    if not isinstance(value, Tensor):
        message = f"value must be a tensor, got {type(value).__name__}. Remove .item()."
        raise Violation(message, inputs=case.arguments)
    found, n = tuple(value.shape), case.n
    if found not in {(), (n,)}:
        message = f"value must have shape () or ({n},), got {found}. {_cure(found, n)}"
        raise Violation(message, inputs=case.arguments)
    if not value.is_floating_point():
        message = f"value must be floating point, got {value.dtype}. It has no gradient."
        raise Violation(message, inputs=case.arguments)


@law(
    universal=True,
    every_kind=True,
    scale="none: finite is finite",
    conditions="no zero row; energies of one configuration at most 30 from the origin; a value "
    "beyond the square root of the largest number may overflow",
)
def finite(subject: Subject, case: Case, claim: Any) -> None:
    """Value and gradient exist and are finite, at degenerate inputs too."""
    _finite(subject, case.arguments, case)


def _finite(subject: Subject, arguments: Any, case: Case, where: str | None = None) -> None:
    far = max((float(m.abs().max()) for m in case.matrices), default=0.0) > FAR
    if far and subject.each and len(subject.inputs) == 1:
        return
    values = subject.values(arguments)
    if not bool(values.isfinite().all()):
        if _overflows(subject, arguments):
            return
        where = where or _where(subject, arguments, case)
        message = (
            f"the value is {_first_bad(values)} {where}. "
            "Keep divisors, and what sqrt and log are taken of, away from zero."
        )
        raise Violation(message, inputs=arguments)
    gradients = [g for g in subject.gradients(arguments) if g is not None]
    for place, gradient in enumerate(gradients):
        if not bool(gradient.isfinite().all()):
            if _overflows(subject, arguments):
                return
            message = (
                f"the value is finite, its gradient in input {place + 1} is {_first_bad(gradient)} "
                f"{where or _where(subject, arguments, case)}. "
                "Keep divisors, and what sqrt, log and norms are taken of, away from zero."
            )
            raise Violation(message, inputs=arguments)


def _where(subject: Subject, arguments: Any, case: Case) -> str:
    """Return in words what is special about a batch."""
    labels = [a for a in arguments if isinstance(a, Tensor) and not a.is_floating_point()]
    if labels and case.views and _whatever_the_views(subject, arguments, case):
        return f"with the labels {labels[0].tolist()}, whatever the rest of the batch"
    matrices = [a for a in arguments if is_floating(a) and a.ndim == 2 and len(a) > 1]
    if matrices and all(bool((m == m[0]).all()) for m in matrices):
        return "on a batch whose rows are all equal"
    if any(bool((m == m[0]).all(dim=0).any()) for m in matrices):
        return "on a batch with a constant column"
    if len(matrices) > 1 and all(torch.equal(m, matrices[0]) for m in matrices):
        return "on a batch of equal views"
    kind = case.kind.replace("_", " ")
    return (
        "on a batch of small numbers"
        if case.kind == strategies.SMALL
        else f"on a batch that is {kind}"
    )


def _whatever_the_views(subject: Subject, arguments: Any, case: Case) -> bool:
    """Return whether it is not finite on views in general position either."""
    views = strategies.matrices("gaussian", len(case.views), case.n, case.d, 0)
    kept = replace(case, arguments=tuple(arguments)).replaced(views)
    try:
        found = [subject.values(kept).detach(), *subject.gradients(kept)]
    except Refused:
        return False
    return not all(bool(f.isfinite().all()) for f in found if f is not None)


def _overflows(subject: Subject, arguments: Any) -> bool:
    """Return whether a value is infinite because it is too large, not on the way to it.

    Toward the origin there is a last batch whose value is finite: is that value, or its
    gradient, huge already?
    """
    enough = torch.finfo(subject.dtype).max ** 0.5

    def size(factor: float) -> float:
        scaled = [factor * a if is_floating(a) else a for a in arguments]
        try:
            found = [subject.values(scaled).detach(), *subject.gradients(scaled)]
        except Refused:
            return math.nan
        return max(
            float(f.abs().max()) if bool(f.isfinite().all()) else math.inf
            for f in found
            if f is not None
        )

    inside, outside = 0.0, 1.0
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if math.isfinite(size(middle)) else (inside, middle)
    return inside > 0 and size(inside) > enough


@law(scale="none: finite is finite", kinds=strategies.GENERIC)
def finite_at_zero(subject: Subject, case: Case, claim: Any) -> None:
    """Value and gradient are finite when an embedding is exactly zero."""
    views = [m.clone() for m in case.matrices]
    for view in views:
        view[0] = 0.0
    _finite(subject, case.replaced(views), case, "where a row of each view is zero")


@law(scale="none: finite is finite", kinds=strategies.GENERIC, share=0.2)
def batch_of_one(subject: Subject, case: Case, claim: Any) -> None:
    """A single example gives a finite value or is refused with an error, never NaN."""
    single = tuple(a[:1] if isinstance(a, Tensor) else a for a in case.arguments)
    try:
        values = subject.values(single)
    except Refused:
        return
    if not bool(values.isfinite().all()):
        message = f"one example gives {_first_bad(values)}. Refuse it with an error."
        raise Violation(message, inputs=single)


@law(universal=True, scale="none: gradients exist or do not", share=0.2)
def differentiable(subject: Subject, case: Case, claim: Any) -> None:
    """The value has a gradient in at least one of its inputs."""
    leaves = [
        a.clone().requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a
        for a in case.arguments
    ]
    value = subject.raw(leaves)
    if not isinstance(value, Tensor) or not value.requires_grad:
        message = (
            "the value carries no gradient. Remove .detach(), torch.no_grad(), .item() or argmax."
        )
        raise Violation(message, inputs=case.arguments)
    try:
        subject.gradients(case.arguments)
    except Refused as error:
        message = f"the gradient cannot be computed: {str(error)[:300]}"
        raise Violation(message, inputs=case.arguments) from error


@law(universal=True, scale="none: both values are equal", share=0.5)
def determinism(subject: Subject, case: Case, claim: Any) -> None:
    """The same inputs and the same state give the same value."""
    seeded = Random() in subject.traits
    first = subject.values_once(case.arguments, seeded=seeded)
    second = subject.values_once(case.arguments, seeded=seeded)
    both = bool(first.isfinite().all()) and bool(second.isfinite().all())
    if both and first.shape == second.shape and not torch.equal(first, second):
        measured = float((first - second).abs().max())
        message = (
            "two calls on the same inputs differ: it draws random numbers. Pass the noise or a "
            "generator, put dropout in eval mode, or claim random (traits.Random())."
        )
        raise Violation(message, measured, 0.0, case.arguments)


@law(universal=True, scale="none: the inputs are left alone", share=0.5)
def inputs_untouched(subject: Subject, case: Case, claim: Any) -> None:
    """Computing the value does not change the inputs in place."""
    kept = [a.to(subject.dtype) if is_floating(a) else a for a in case.arguments]
    own = [a.clone() if isinstance(a, Tensor) else a for a in kept]
    subject.raw(own, shared=True)
    for i, (before, after) in enumerate(zip(kept, own, strict=True)):
        if isinstance(before, Tensor) and not torch.equal(before, after):  # pyright: ignore[reportArgumentType]
            changed = float((before - after).abs().max())  # pyright: ignore[reportOperatorIssue]
            message = f"input {i + 1} was changed in place. Write x = x - m for x -= m."
            raise Violation(message, changed, 0.0, case.arguments)


def _smooth(subject: Subject) -> str | None:
    if StopGradient() in subject.traits:
        return "its gradient is cut on purpose (StopGradient)"
    if subject.dtype != torch.float64:
        return "it computes in float32, too coarse for finite differences"
    return None


@law(
    universal=True,
    small=False,
    kinds=("gaussian", "close"),
    applies=_smooth,
    share=0.5,
    conditions="float64, away from kinks; an input whose gradient is cut whole passes",
    scale="sum |gradient * direction| and the loss; 1e-5 of it, for finite differences",
)
def gradcheck(subject: Subject, case: Case, claim: Any) -> None:
    """The gradient is that of the value, measured by finite differences in float64."""
    generator = case.generator()
    values = subject.values(case.arguments).detach()
    weights = torch.rand(values.shape, generator=generator, dtype=torch.float64) + 0.5

    def value(arguments: Any) -> float:
        return float((subject.values(arguments).detach() * weights).sum())

    gradients = subject.gradients(case.arguments, weights=weights)
    live = [g is not None and bool((g != 0).any()) for g in gradients]
    if not any(live) and not _carries(subject, case):
        raise Vacuous("its value carries no gradient")
    for i, gradient in enumerate(gradients):
        a = case.arguments[i]
        if gradient is None or not isinstance(a, Tensor) or not bool(gradient.isfinite().all()):
            continue
        direction = torch.randn(a.shape, generator=generator, dtype=torch.float64)
        h = 1e-4 * max(float(a.abs().mean()), 1e-3)

        def along(step: float, i: int = i, a: Tensor = a, direction: Tensor = direction) -> float:
            arguments = list(case.arguments)
            arguments[i] = a + step * direction
            return value(arguments)

        center = along(0.0)
        (wide, jump), (narrow, half_jump) = (
            ((up - down) / (2 * step), abs(up - 2 * center + down) / step)
            for step in (h, h / 2)
            for up, down in [(along(step), along(-step))]
        )
        measured = (4 * narrow - wide) / 3
        expected = float((gradient * direction).sum())
        spread = float((gradient * direction).abs().sum())
        size = spread + abs(measured) + subject.typical
        doubt = abs(wide - narrow)
        if not doubt < 1e-3 * size or (jump > 1e-4 * size and half_jump > 0.75 * jump):
            continue  # a kink between the ends, or at the middle
        if not live[i] and any(live):
            continue  # the whole input is behind a stop-gradient
        error = abs(measured - expected)
        allowed = 1e-5 * size + 10 * doubt
        if error > allowed:
            message = (
                f"the slope in input {i + 1} is {measured:.6g} by finite differences, "
                f"{expected:.6g} by autograd. Look for .detach(), .data, torch.no_grad() or a "
                "custom backward; claim stop-gradient (traits.StopGradient()) where it is meant."
            )
            raise Violation(message, error, allowed, case.arguments)


def _carries(subject: Subject, case: Case) -> bool:
    value = subject.raw(
        [a.clone().requires_grad_() if is_floating(a) else a for a in case.arguments]
    )
    return isinstance(value, Tensor) and value.requires_grad


def _permutes(subject: Subject) -> str | None:
    if any(isinstance(t, Not) and t.trait == BatchPermutation() for t in subject.traits):
        return "it states that the order of its examples matters"
    return draws_nothing(subject)


@law(universal=True, applies=_permutes, conditions="every input has the batch as first axis")
def batch_permutation(subject: Subject, case: Case, claim: Any) -> None:
    """Reordering the examples reorders the values, or leaves the one value unchanged."""
    order = strategies.permutation(case.n, case.seed)
    moved = tuple(
        a[order] if isinstance(a, Tensor) and a.ndim and len(a) == case.n else a
        for a in case.arguments
    )
    before, after = subject.values(case.arguments), subject.values(moved)
    if before.shape == (case.n,):
        before = before[order]
    message = f"examples in the order {order.tolist()} give another value."
    scale = subject.magnitude(case.arguments)
    close(subject, before, after, scale, message, case.arguments)


def _whole_energy(subject: Subject) -> str | None:
    return None if isinstance(subject.call, Energy) else "it has no named parts"


@law(applies=_whole_energy, share=0.2)
def sum_of_parts(subject: Subject, case: Case, claim: Any) -> None:
    """An energy is the sum of its named parts, each once."""
    parts = subject.parts(case.arguments)
    total = torch.stack([part.double().mean() for part in parts.values()]).sum()
    scale = sum(float(part.detach().abs().double().mean()) for part in parts.values())
    message = f"the parts {', '.join(parts)} do not add up to the energy."
    close(
        subject,
        subject.loss(case.arguments),
        total,
        scale + subject.typical,
        message,
        case.arguments,
    )


def _first_bad(values: Tensor) -> str:
    return "NaN" if bool(values.isnan().any()) else "infinite"


LAWS = (
    shape,
    differentiable,
    finite,
    determinism,
    inputs_untouched,
    gradcheck,
    batch_permutation,
    sum_of_parts,
    finite_at_zero,
    batch_of_one,
)
