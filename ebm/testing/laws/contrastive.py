"""What negatives and wrong answers may do to a value, and what they may not."""

from typing import Any

import torch
from torch import Tensor

from ebm.testing.inputs import Labels, Sizes, View
from ebm.testing.law import Vacuous, Violation, fail_beyond, law
from ebm.testing.laws.universal import draws_nothing
from ebm.testing.strategies import Case
from ebm.testing.subject import Subject
from ebm.traits import Reach


def _answers(subject: Subject) -> str | None:
    kinds = [type(item) for item in subject.inputs]
    if kinds.count(View) + kinds.count(Sizes) == 1 and kinds.count(Labels) == 1:
        return draws_nothing(subject)
    return "it does not take the energies of answers and the right ones"


def _with_negatives(subject: Subject) -> str | None:
    if _answers(subject) is None:
        return None
    if subject.reach is Reach.OWN:
        return "the value of an example depends on no other"
    if subject.views == 2 and len(subject.inputs) == 2 and subject.each:
        return draws_nothing(subject)
    return "it gives no value per example that others are negatives of"


@law(
    applies=_with_negatives,
    kinds=("gaussian", "close"),
    least_dim=2,
    conditions="one value per example, or energies of answers with labels",
)
def monotone_in_negatives(subject: Subject, case: Case, claim: Any) -> None:
    """One more negative never lowers the value of an example."""
    if _answers(subject) is None:
        more = _with_column(subject, case)
    else:
        extra = torch.randn(2, 1, case.d, generator=case.generator(), dtype=torch.float64)
        more = case.replaced([torch.cat([m, e]) for m, e in zip(case.matrices, extra, strict=True)])
    before = subject.values(case.arguments).detach()
    after = subject.values(more).detach()
    if after.ndim and len(after) > case.n:
        after = after[: case.n]
    drop = before - after
    allowed = 32 * subject.eps * subject.magnitude(case.arguments, more)
    if not bool(drop.isfinite().all()):
        raise Vacuous
    message = f"one more negative lowers a value by {float(drop.max()):.4g}."
    fail_beyond(subject, float(drop.max()), allowed, message, more)


def _place(subject: Subject) -> int:
    return next(i for i, item in enumerate(subject.inputs) if isinstance(item, View | Sizes))


def _with_column(subject: Subject, case: Case) -> tuple[Tensor | float, ...]:
    arguments = list(case.arguments)
    matrix = arguments[_place(subject)]
    if not isinstance(matrix, Tensor):
        raise Vacuous
    column = torch.randn(case.n, 1, generator=case.generator(), dtype=matrix.dtype)
    positive = isinstance(subject.inputs[_place(subject)], Sizes)
    column = column.abs() if positive else column
    arguments[_place(subject)] = torch.cat([matrix, column], dim=1)
    return tuple(arguments)


@law(
    applies=_answers,
    small=False,
    kinds=("gaussian", "close", "huge", "tiny"),
    least_dim=2,
    scale="the largest entry of the gradient",
)
def push_pull(subject: Subject, case: Case, claim: Any) -> None:
    """The gradient pushes the right answer one way and the wrong ones the other, never both."""
    gradient = subject.gradients(case.arguments)[_place(subject)]
    labels = next(a for a in case.arguments if isinstance(a, Tensor) and not a.is_floating_point())
    if gradient is None or not bool(gradient.isfinite().all()):
        raise Vacuous
    right = torch.nn.functional.one_hot(labels, gradient.shape[1]).bool()
    allowed = 32 * subject.eps * float(gradient.abs().max())
    if allowed == 0:
        raise Vacuous
    down = getattr(claim, "down", None)
    sign = _sign(subject) if down is None else -1.0 if down else 1.0
    worst = max(float((sign * gradient)[right].max()), float((-sign * gradient)[~right].max()))
    if worst > allowed:
        message = (
            "an answer is pushed the wrong way: the right ones' gradients are "
            f"{[round(v, 4) for v in gradient[right].tolist()][:6]}, the others' range from "
            f"{float(gradient[~right].min()):.4g} to {float(gradient[~right].max()):.4g}."
        )
        raise Violation(message, worst, allowed, case.arguments)


def _sign(subject: Subject) -> float:
    """Return 1 where the right answer is high (logits), -1 where it is low (energies)."""
    case = subject.case("gaussian", 8, 4, 3)
    gradient = subject.gradients(case.arguments)[_place(subject)]
    labels = next(a for a in case.arguments if isinstance(a, Tensor) and not a.is_floating_point())
    if gradient is None:
        raise Vacuous
    right = torch.nn.functional.one_hot(labels, gradient.shape[1]).bool()
    return 1.0 if float(gradient[right].sum()) <= 0 else -1.0


LAWS = (monotone_in_negatives, push_pull)
