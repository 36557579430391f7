"""What leaves a value unchanged: one law for each trait of symmetry."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm.testing import strategies
from ebm.testing.inputs import Labels, Vector, View
from ebm.testing.law import Applies, Vacuous, close, law
from ebm.testing.laws.universal import draws_nothing
from ebm.testing.strategies import Case
from ebm.testing.subject import Subject
from ebm.traits import Homogeneous

Arguments = tuple[Tensor | float, ...]


def one_space(least: int = 1) -> Applies:
    """Return the condition that there are views, all in one space."""

    def applies(subject: Subject) -> str | None:
        views = [item for item in subject.inputs if isinstance(item, View)]
        if len(views) < least:
            return f"it takes {_many(len(views))}"
        if len({view.dim for view in views}) > 1:
            return "its views have different dimensions"
        return draws_nothing(subject)

    return applies


def invariant(
    subject: Subject, case: Case, arguments: Arguments, message: str, *, mean: bool = False
) -> None:
    """Raise a violation unless the arguments can take the place of the case's own.

    Raises:
        Violation: The value changes.
    """
    before, after = subject.values(case.arguments), subject.values(arguments)
    if mean:
        before, after = before.mean(), after.mean()
    scale = subject.magnitude(case.arguments, arguments)
    numbers = f"{float(before.mean()):.6g} becomes {float(after.mean()):.6g}"
    close(subject, before, after, scale, f"{message}: {numbers}.", case.arguments)


def _one_view(case: Case, change: Callable[[Tensor], Tensor]) -> Arguments:
    """Return the arguments with one view changed: each in its turn, the first for seed 0."""
    views = case.matrices
    turn = case.seed % len(views)
    return case.replaced([change(m) if i == turn else m for i, m in enumerate(views)])


def _many(views: int) -> str:
    return {0: "no views", 1: "one view"}.get(views, f"{views} views")


def _two(subject: Subject) -> str | None:
    if subject.views != 2:
        return f"it takes {_many(subject.views)}, not two"
    return one_space(2)(subject)


@law(applies=_two)
def view_swap(subject: Subject, case: Case, claim: Any) -> None:
    """Exchanging the two views leaves the mean value unchanged."""
    arguments = case.replaced(case.matrices[::-1])
    invariant(subject, case, arguments, "with the views exchanged", mean=True)


@law(applies=one_space(), least_dim=2)
def rotation(subject: Subject, case: Case, claim: Any) -> None:
    """One orthogonal map applied to all views leaves the value unchanged."""
    turn = strategies.rotation(case.d, case.seed)
    arguments = case.everywhere(lambda m: m @ turn.T)
    invariant(subject, case, arguments, f"with all views turned by {_brief(turn)}")


@law(applies=one_space(2), least_dim=2)
def per_view_rotation(subject: Subject, case: Case, claim: Any) -> None:
    """An orthogonal map of its own for each view leaves the value unchanged."""
    turn = strategies.rotation(case.d, case.seed)
    arguments = _one_view(case, lambda m: m @ turn.T)
    invariant(subject, case, arguments, f"with one view turned by {_brief(turn)}")


@law(applies=one_space())
def sign_flip(subject: Subject, case: Case, claim: Any) -> None:
    """Flipping the sign of a dimension in all views leaves the value unchanged."""
    signs = torch.ones(case.d, dtype=torch.float64)
    signs[case.seed % case.d] = -1
    arguments = case.everywhere(lambda m: m * signs)
    words = f"with the sign of dimension {case.seed % case.d} flipped"
    invariant(subject, case, arguments, words)


@law(applies=one_space(), least_dim=2)
def dimension_permutation(subject: Subject, case: Case, claim: Any) -> None:
    """Reordering the dimensions of all views alike leaves the value unchanged."""
    order = strategies.permutation(case.d, case.seed)
    arguments = case.everywhere(lambda m: m[..., order])
    invariant(subject, case, arguments, f"with dimensions in the order {order.tolist()}")


@law(applies=one_space())
def translation(subject: Subject, case: Case, claim: Any) -> None:
    """Adding one vector to all examples of all views leaves the value unchanged."""
    shift = _shift(case)
    arguments = case.everywhere(lambda m: m + shift)
    invariant(subject, case, arguments, f"with {_brief(shift)} added to every row")


@law(applies=one_space(2))
def per_view_translation(subject: Subject, case: Case, claim: Any) -> None:
    """Adding a vector of its own to each view leaves the value unchanged."""
    shift = _shift(case)
    arguments = _one_view(case, lambda m: m + shift)
    invariant(subject, case, arguments, f"with {_brief(shift)} added to one view")


@law(applies=one_space(), conditions="factors between 1/e and e; no zero row")
def positive_scale(subject: Subject, case: Case, claim: Any) -> None:
    """Multiplying each row by its own positive number leaves the value unchanged."""
    generator = case.generator()
    first = [True]

    def rescaled(m: Tensor) -> Tensor:
        shape = (*m.shape[:-1], 1)
        factors = torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=generator)
        if case.seed == 0:
            factors = torch.zeros(shape, dtype=torch.float64)
            factors[0] = math.log(2.0) if first.pop() else 0.0
            first.append(False)
        return m * factors.exp()

    words = "with the first row doubled" if case.seed == 0 else "with rows rescaled"
    invariant(subject, case, case.everywhere(rescaled), words)


@law(
    applies=one_space(),
    kinds=("gaussian", "close", "huge"),
    least=3,
    conditions="every column has variance above 0.05; factors between 1 and 3",
    scale="as always, and 4e-5 / smallest variance of it for the eps of a batch norm",
)
def per_view_affine(subject: Subject, case: Case, claim: Any) -> None:
    """Per view and dimension, z -> a z + b with a > 0 leaves the value unchanged."""
    least = min(float(m.var(dim=0, correction=0).min()) for m in case.matrices)
    if least < 0.05:
        raise Vacuous
    generator = case.generator()
    factor = 1 + 2 * torch.rand(case.d, generator=generator, dtype=torch.float64)
    shift = _shift(case)
    arguments = _one_view(case, lambda m: factor * m + shift)
    before, after = subject.values(case.arguments), subject.values(arguments)
    slack = max(1.0, 4e-5 / least / (32 * subject.eps))
    numbers = f"{float(before.mean()):.6g} becomes {float(after.mean()):.6g}"
    message = f"with one view's columns times {_brief(factor)} plus {_brief(shift)}: {numbers}."
    scale = subject.magnitude(case.arguments, arguments)
    close(subject, before, after, scale, message, case.arguments, factor=slack)


@law(applies=one_space(), scale="the loss at both inputs and sum |gradient * input| there")
def homogeneous(subject: Subject, case: Case, claim: Any) -> None:
    """Multiplying every input by s > 0 multiplies the value by s to the stated degree."""
    degree = claim.degree if isinstance(claim, Homogeneous) else 1.0
    s = (2.0, 0.5, 3.0)[case.seed % 3]
    arguments = case.replaced([s * m for m in case.matrices])
    before, after = subject.values(case.arguments), subject.values(arguments)
    numbers = f"{float(before.mean()):.6g} becomes {float(after.mean()):.6g}"
    message = f"with every input times {s:g}, {numbers}, not times {s:g}^{degree:g}."
    scale = max(subject.magnitude(arguments), s**degree * subject.magnitude(case.arguments))
    close(subject, s**degree * before, after, scale, message, case.arguments)


def _energies(subject: Subject) -> str | None:
    kinds = tuple(type(item) for item in subject.inputs)
    if set(kinds) == {Vector} or (Labels in kinds and View in kinds):
        return draws_nothing(subject)
    return "its inputs are no energies of answers"


@law(applies=_energies, scale="the loss, sum |gradient * energy| and the constant")
def shift_invariance(subject: Subject, case: Case, claim: Any) -> None:
    """Adding one constant to every energy in a loss leaves the loss unchanged."""
    constant = (1.0, -3.0, 10.0)[case.seed % 3]
    arguments = [
        a + constant if isinstance(a, Tensor) and a.is_floating_point() else a
        for a in case.arguments
    ]
    before, after = subject.values(case.arguments), subject.values(arguments)
    numbers = f"{float(before.mean()):.6g} becomes {float(after.mean()):.6g}"
    message = f"with {constant:g} added to every energy: {numbers}."
    scale = subject.magnitude(case.arguments, arguments)
    close(subject, before, after, scale, message, case.arguments)


def _shift(case: Case) -> Tensor:
    if case.seed == 0:
        return torch.ones(case.d, dtype=torch.float64)
    return 3 * torch.randn(case.d, generator=case.generator(), dtype=torch.float64)


def _brief(numbers: Tensor) -> str:
    if numbers.numel() > 9:
        return "a drawn matrix" if numbers.ndim > 1 else "a drawn vector"
    return str(
        [[round(v, 3) for v in row] for row in numbers.tolist()]
        if numbers.ndim > 1
        else [round(v, 3) for v in numbers.tolist()]
    )


LAWS = (
    view_swap,
    rotation,
    per_view_rotation,
    sign_flip,
    dimension_permutation,
    translation,
    per_view_translation,
    positive_scale,
    per_view_affine,
    homogeneous,
    shift_invariance,
)
