"""What each symmetry says about the gradient (Noether): the value may hide what it shows."""

from typing import Any

import torch
from torch import Tensor

from ebm.testing.inputs import Negatives
from ebm.testing.law import Vacuous, Violation, close, law
from ebm.testing.laws.invariance import one_space
from ebm.testing.strategies import Case
from ebm.testing.subject import Subject
from ebm.traits import Homogeneous, StopGradient

SMOOTH = ("gaussian", "close", "duplicated")


def _uncut(least: int = 1) -> Any:
    def applies(subject: Subject) -> str | None:
        if StopGradient() in subject.traits:
            return "its gradient is cut on purpose (StopGradient)"
        return one_space(least)(subject)

    return applies


def _whole(subject: Subject) -> str | None:
    """Return why a sum over all gradients says nothing: one of them may be missing."""
    reason = _uncut()(subject)
    if reason is None and subject.cut:
        return f"no gradient reaches input {', '.join(map(str, subject.cut))} (stop-gradient)"
    return reason


def _whole_space(subject: Subject) -> str | None:
    if any(isinstance(item, Negatives) for item in subject.inputs):
        return "its negatives are turned and shifted with the views"
    return _whole(subject)


def _two(subject: Subject) -> str | None:
    return f"it takes {subject.views} views, not two" if subject.views != 2 else _uncut(2)(subject)


def _gradients(subject: Subject, case: Case, views: list[Tensor]) -> list[Tensor]:
    gradients = subject.view_gradients(case, case.replaced(views))
    if not all(bool(g.isfinite().all()) for g in gradients):
        raise Vacuous
    return gradients


def _size(gradients: list[Tensor], views: list[Tensor]) -> float:
    """Return the largest |gradient| |row| over rows and views."""
    return max(
        float((g.norm(dim=1) * z.norm(dim=1)).max()) for g, z in zip(gradients, views, strict=True)
    )


@law(
    applies=_two,
    small=False,
    kinds=("gaussian", "close"),
    scale="the largest |gradient of a row| |row|, at least the loss's size / n; 100 times that, "
    "for the 1e-6 that torch adds to a difference",
    conditions="the views differ: a distance has no gradient at zero",
)
def swapped_gradients(subject: Subject, case: Case, claim: Any) -> None:
    """Exchanging the two views exchanges their gradients: none of them is cut off."""
    a, b = case.matrices
    ga, gb = _gradients(subject, case, [a, b])
    hb, ha = _gradients(subject, case, [b, a])
    scale = _size([ga, gb], [a, b]) + subject.typical / case.n
    largest = max(float(a.abs().max()), float(b.abs().max()))
    left, right = torch.cat([ga, gb]), torch.cat([ha, hb])
    message = (
        f"the gradient norms of the views are {float(ga.norm()):.4g}, {float(gb.norm()):.4g} "
        f"and, exchanged, {float(ha.norm()):.4g}, {float(hb.norm()):.4g}."
    )
    close(subject, left * largest, right * largest, scale, message, case.arguments, factor=100)


@law(
    applies=_uncut(),
    small=False,
    kinds=SMOOTH,
    scale="the largest |gradient of a row| |row|, at least the loss's size / n",
    conditions="the value does not depend on the length of a row",
)
def gradient_orthogonal_to_row(subject: Subject, case: Case, claim: Any) -> None:
    """Where lengths do not matter, each row's gradient is orthogonal to the row (Euler)."""
    views = case.matrices
    gradients = _gradients(subject, case, views)
    along = torch.cat([(g * z).sum(dim=1) for g, z in zip(gradients, views, strict=True)])
    scale = _size(gradients, views) + subject.typical / case.n
    worst = int(along.abs().argmax())
    message = f"<gradient, row> is {float(along[worst]):.4g} for a row, not 0."
    close(subject, along, torch.zeros_like(along), scale, message, case.arguments)


@law(
    applies=_whole_space,
    small=False,
    kinds=SMOOTH,
    least_dim=2,
    scale="sum over rows of |gradient| |row|, at least the loss's size",
    conditions="the value does not change when all views are turned alike",
)
def torque_vanishes(subject: Subject, case: Case, claim: Any) -> None:
    """Under rotation invariance, the sum of gradient x row over all views is symmetric."""
    views = case.matrices
    gradients = _gradients(subject, case, views)
    moment = sum((g.T @ z for g, z in zip(gradients, views, strict=True)), start=torch.zeros(()))
    scale = subject.typical + sum(
        float((g.norm(dim=1) * z.norm(dim=1)).sum()) for g, z in zip(gradients, views, strict=True)
    )
    message = "sum of gradient x row over both views is not symmetric."
    close(subject, moment, moment.T, scale, message, case.arguments)


@law(
    applies=_whole_space,
    small=False,
    kinds=SMOOTH,
    scale="sum of |gradient|, at least the loss's size",
    conditions="the value does not change when all rows of all views are shifted alike",
)
def force_vanishes(subject: Subject, case: Case, claim: Any) -> None:
    """Under translation invariance, the gradients of all rows of all views sum to zero."""
    gradients = _gradients(subject, case, case.matrices)
    total = torch.stack([g.sum(dim=0) for g in gradients]).sum(dim=0)
    scale = subject.typical + sum(float(g.abs().sum()) for g in gradients)
    message = f"the gradients sum to {[round(v, 6) for v in total.tolist()[:6]]}, not 0."
    close(subject, total, torch.zeros_like(total), scale, message, case.arguments)


@law(
    applies=_whole,
    small=False,
    kinds=SMOOTH,
    scale="the loss and sum |gradient * input|",
    conditions="the value is homogeneous of the stated degree",
)
def euler(subject: Subject, case: Case, claim: Any) -> None:
    """A value homogeneous of degree k has <gradient, input> = k * value (Euler)."""
    degree = claim.degree if isinstance(claim, Homogeneous) else 1.0
    views = case.matrices
    gradients = _gradients(subject, case, views)
    along = torch.stack([(g * z).sum() for g, z in zip(gradients, views, strict=True)]).sum()
    value = subject.loss(case.arguments).detach()
    message = (
        f"<gradient, input> is {float(along):.6g}, {degree:g} * value {degree * float(value):.6g}."
    )
    scale = subject.magnitude(case.arguments) * max(1.0, abs(degree))
    close(subject, along, degree * value, scale, message, case.arguments)


@law(
    scale="none: the gradient is zero, exactly",
    kinds=SMOOTH,
    share=0.2,
    conditions="the input is stated to be a target: a teacher's output, a code, a label",
)
def target_gets_no_gradient(subject: Subject, case: Case, claim: Any) -> None:
    """No gradient reaches an input that is a target."""
    place = int(getattr(claim, "input", len(subject.inputs)))
    if not 1 <= place <= len(subject.inputs):
        raise Vacuous(f"it has {len(subject.inputs)} inputs, no input {place}")
    gradient = subject.gradients(case.arguments)[place - 1]
    if gradient is not None and bool((gradient != 0).any()):
        largest = float(gradient.abs().max())
        message = f"input {place} gets a gradient. Detach it: a target does not learn here."
        raise Violation(message, largest, 0.0, case.arguments)


LAWS = (
    swapped_gradients,
    gradient_orthogonal_to_row,
    torque_vanishes,
    force_vanishes,
    euler,
    target_gets_no_gradient,
)
