"""The words in which an energy says what is true of it: its reach and its traits.

A trait is plain data. `ebm.testing.laws` holds the check of each one, so that a claim on an
energy is a test of that energy. `Not(trait, ...)` claims the opposite and stores the
counterexample that proves it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar


class Reach(IntEnum):
    """How far one number depends on the batch."""

    OWN = 0
    """Only on its own example: batched equals looped."""
    NEGATIVES = 1
    """On the other examples too, which serve as negatives."""
    STATISTICS = 2
    """On moments of the batch."""


Number = float | Callable[[int, int], float]
"""A number, or a function of the batch size n and the dimension d."""


@dataclass(frozen=True)
class Trait:
    """A fact that an energy states about itself."""


Kind = TypeVar("Kind", bound=Trait)


@dataclass(frozen=True)
class Views(Trait):
    """The energy takes this many inputs of one shape."""

    count: int


class BatchPermutation(Trait):
    """Reordering the examples reorders the values, or leaves the one value unchanged."""


class ViewSwap(Trait):
    """Exchanging the two views leaves the mean value unchanged."""


class Rotation(Trait):
    """One orthogonal map applied to all views leaves the value unchanged."""


class PerViewRotation(Trait):
    """An orthogonal map of its own for each view leaves the value unchanged."""


class SignFlip(Trait):
    """Flipping the sign of a dimension in all views leaves the value unchanged."""


class DimensionPermutation(Trait):
    """Reordering the dimensions of all views alike leaves the value unchanged."""


class Translation(Trait):
    """Adding one vector to all examples of all views leaves the value unchanged."""


class PerViewTranslation(Trait):
    """Adding a vector of its own to each view leaves the value unchanged."""


class PositiveScale(Trait):
    """Multiplying each row by its own positive number leaves the value unchanged."""


class PerViewAffine(Trait):
    """Per view and dimension, z -> a z + b with a > 0 leaves the value unchanged."""


class ShiftInvariance(Trait):
    """Adding one constant to every energy in a loss leaves the loss unchanged."""


class MonotoneInNegatives(Trait):
    """One more negative never lowers the value of an example."""


@dataclass(frozen=True)
class PushPull(Trait):
    """The gradient pushes the right answer one way and the wrong ones the other."""

    down: bool | None = True
    """Whether the right answer goes down (energies), up (logits, False), or either (None)."""


class StopGradient(Trait):
    """A path of the gradient is cut on purpose, so that it is not that of the value."""


@dataclass(frozen=True)
class Target(Trait):
    """No gradient reaches this input, counted from 1: it is a target."""

    input: int


class Random(Trait):
    """The value draws from torch's generator on purpose: equal seeds, equal values."""


class PreventsCollapse(Trait):
    """A collapsed batch costs more than the same batch slightly spread."""


@dataclass(frozen=True)
class Homogeneous(Trait):
    """Multiplying every input by s > 0 multiplies the value by s to this degree."""

    degree: float


@dataclass(frozen=True)
class LowerBound(Trait):
    """No input gives a smaller mean value; `attained` where some input reaches it."""

    value: Number
    attained: bool = False


@dataclass(frozen=True)
class UpperBound(Trait):
    """No input gives a larger mean value; `attained` where some input reaches it."""

    value: Number
    attained: bool = False


@dataclass(frozen=True)
class CollapseValue(Trait):
    """The mean value when all rows of all views are one and the same nonzero vector."""

    value: Number


@dataclass(frozen=True)
class UndecidedValue(Trait):
    """The mean value when all entries of all views are equal: no output is preferred."""

    value: Number


@dataclass(frozen=True)
class Not(Trait):
    """The opposite of a trait, proven by stored inputs on which the trait fails."""

    trait: Trait
    counterexample: tuple[tuple[tuple[float, ...], ...], ...] = ()
    """One matrix of numbers per view; empty where a drawn batch of any kind will do."""


def evaluate(number: Number, n: int, d: int) -> float:
    """Return a trait's number for a batch of n examples of dimension d."""
    return float(number(n, d)) if callable(number) else float(number)


def find(traits: Sequence[Trait], kind: type[Kind]) -> Kind | None:
    """Return the trait of this kind, or None."""
    return next((trait for trait in traits if isinstance(trait, kind)), None)


def combine(summands: Sequence[tuple[float, Sequence[Trait]]]) -> tuple[Trait, ...]:
    """Return the traits of a weighted sum: those common to its parts, numbers added."""
    first = summands[0][1]
    if len(summands) == 1 and summands[0][0] == 1:
        return tuple(first)
    everywhere = [t for t in first if all(t in traits for _, traits in summands)]
    alone = len(summands) == 1
    kept = [t for t in everywhere if not isinstance(t, _NUMBERS | PreventsCollapse | Not)]
    kept += [t for t in everywhere if isinstance(t, Not) and alone and summands[0][0] != 0]
    if all(weight > 0 for weight, _ in summands):
        kept += [t for t in everywhere if isinstance(t, PreventsCollapse)]
    return (*kept, *_added(summands))


def _added(summands: Sequence[tuple[float, Sequence[Trait]]]) -> Iterator[Trait]:
    for kind, mirror in ((LowerBound, UpperBound), (UpperBound, LowerBound)):
        bounds = [(w, find(traits, kind if w >= 0 else mirror)) for w, traits in summands]
        present = [(w, bound) for w, bound in bounds if bound is not None]
        if len(present) == len(bounds):
            attained = len(present) == 1 and present[0][1].attained
            yield kind(_weighted([(w, b.value) for w, b in present]), attained)
    for kind in (CollapseValue, UndecidedValue):
        values = [(w, find(traits, kind)) for w, traits in summands]
        if all(value is not None for _, value in values):
            yield kind(_weighted([(w, v.value) for w, v in values if v is not None]))


def _weighted(numbers: Sequence[tuple[float, Number]]) -> Number:
    if all(not callable(number) for _, number in numbers):
        return sum(weight * evaluate(number, 0, 0) for weight, number in numbers)
    return lambda n, d: sum(weight * evaluate(number, n, d) for weight, number in numbers)


_NUMBERS = LowerBound | UpperBound | CollapseValue | UndecidedValue
