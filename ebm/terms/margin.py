"""Margin losses: the right answer's energy goes down, that of the worst wrong one up.

E is the energy of the right answer, W the lowest energy of a wrong one, u = E - W, m a
margin and T a temperature:

    energy            E                            no margin: flat surfaces satisfy it
    perceptron        E - min over all answers     margin 0
    hinge             max(0, m + u)                margin m
    log               log(1 + exp(u))              never stops pushing
    lvq2              min(M, max(0, u))            margin 0, saturates
    classification    1 / (1 + exp(-u))            never stops, a smooth count of errors
    square_square     E^2 + max(0, m - W)^2        margin m, energies >= 0
    square_exponential   E^2 + weight exp(-W)      never stops, energies >= 0
    likelihood        E + T log sum exp(-E(y) / T) never stops
    empirical_error   1 - p(right answer)          never stops

Reference: LeCun, Chopra, Hadsell, Ranzato & Huang, "A tutorial on energy-based learning",
2006, Table 1. Copies of the table in circulation have square-square with a minus: it would
push the wrong answer down.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies, Labels
from ebm.terms.precision import full_precision
from ebm.traits import BatchPermutation, LowerBound, PushPull, ShiftInvariance, Trait

Pair = Callable[[Tensor, Tensor], Tensor]


class MarginLoss(Energy):
    """A loss of the energies of discrete answers, and which of them is right.

    The named constructors are the rows of the table. `loss(energies, right)` takes energies
    (batch, answers) and the index of the right answer (batch,).

    >>> import torch
    >>> energies, right = torch.tensor([[1.0, 0.5, 3.0]]), torch.tensor([0])
    >>> MarginLoss.hinge(margin=1.0)(energies, right)
    tensor([1.5000])

    Args:
        function: From the right answer's energy, (batch,), and the lowest wrong one, (batch,),
            or, where `needs_all`, from the index of the right answer, (batch,), and the energies
            of all answers, (batch, answers).
        label: Its name in logs and plots.
        needs_all: Whether the function takes the energies of all answers.
        shift_invariant: Whether one constant added to all energies leaves it unchanged.
        margin: Distance between wrong and right that it enforces; None for none at all,
            infinity where it never stops pushing.
        nonnegative: Whether it is sound only for energies that cannot be negative.
    """

    def __init__(
        self,
        function: Pair,
        *,
        label: str = "margin_loss",
        needs_all: bool = False,
        shift_invariant: bool = True,
        margin: float | None = None,
        nonnegative: bool = False,
    ) -> None:
        super().__init__()
        self.function, self.label, self.needs_all = function, label, needs_all
        self.shift_invariant, self.margin, self.nonnegative = shift_invariant, margin, nonnegative

    @property
    def name(self) -> str:
        """The name of the row."""
        return self.label

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of it."""
        facts: list[Trait] = [BatchPermutation()]
        if self.shift_invariant:
            facts.append(ShiftInvariance())
        if not self.nonnegative:  # the law draws energies of both signs
            facts.append(PushPull())
        if self.label != "energy":
            facts.append(LowerBound(0.0))
        return tuple(facts)

    @full_precision
    def forward(self, energies: Tensor, right: Labels) -> Energies:
        """Return the loss of each example.

        Raises:
            ValueError: The energies are no (batch, answers) with two answers or more.
        """
        if energies.ndim != 2 or energies.shape[1] < 2:
            raise ValueError(
                f"energies must have shape (batch, answers) with at least 2 answers, got "
                f"{tuple(energies.shape)}. Evaluate the energy of each answer and stack them "
                "along dim 1."
            )
        if self.needs_all:
            return self.function(right, energies)
        own = energies.gather(1, right[:, None]).squeeze(1)
        others = energies.scatter(1, right[:, None], math.inf)
        return self.function(own, others.amin(1))

    def extra_repr(self) -> str:
        """Return the name and the margin."""
        return f"{self.label}, margin={self.margin}"

    @classmethod
    def energy(cls) -> "MarginLoss":
        """Return E: safe only where the architecture keeps other energies up."""
        return cls(_energy, label="energy", shift_invariant=False)

    @classmethod
    def perceptron(cls) -> "MarginLoss":
        """Return E - min over all answers: 0 wherever the right answer is among the lowest."""
        return cls(_perceptron, label="perceptron", margin=0.0)

    @classmethod
    def hinge(cls, margin: float = 1.0) -> "MarginLoss":
        """Return max(0, margin + u)."""
        margin = checks.positive("margin", margin)
        return cls(partial(_hinge, margin), label="hinge", margin=margin)

    @classmethod
    def log(cls) -> "MarginLoss":
        """Return the log of 1 + exp(u), a soft hinge."""
        return cls(_log, label="log", margin=math.inf)

    @classmethod
    def lvq2(cls, limit: float = 1.0) -> "MarginLoss":
        """Return min(limit, max(0, u)): examples that are far off do not count more."""
        limit = checks.positive("limit", limit)
        return cls(partial(_lvq2, limit), label="lvq2", margin=0.0)

    @classmethod
    def classification(cls) -> "MarginLoss":
        """Return 1 / (1 + exp(-u)), the minimum classification error (MCE)."""
        return cls(_classification, label="classification", margin=math.inf)

    @classmethod
    def square_square(cls, margin: float = 1.0) -> "MarginLoss":
        """Return E^2 + max(0, margin - W)^2, for energies that cannot be negative."""
        return cls(
            partial(_square_square, checks.positive("margin", margin)),
            label="square_square",
            shift_invariant=False,
            margin=margin,
            nonnegative=True,
        )

    @classmethod
    def square_exponential(cls, wrong_weight: float = 1.0) -> "MarginLoss":
        """Return E^2 + wrong_weight * exp(-W), for energies that cannot be negative."""
        return cls(
            partial(_square_exponential, checks.positive("wrong_weight", wrong_weight)),
            label="square_exponential",
            shift_invariant=False,
            margin=math.inf,
            nonnegative=True,
        )

    @classmethod
    def likelihood(cls, temperature: float = 1.0) -> "MarginLoss":
        """Return E + T log sum exp(-E(y) / T): T times -log p(right answer) (NLL)."""
        return cls(
            partial(_likelihood, checks.positive("temperature", temperature)),
            label="likelihood",
            needs_all=True,
            margin=math.inf,
        )

    @classmethod
    def empirical_error(cls, temperature: float = 1.0) -> "MarginLoss":
        """Return 1 - p(right answer), the minimum empirical error (MEE)."""
        return cls(
            partial(_empirical_error, checks.positive("temperature", temperature)),
            label="empirical_error",
            needs_all=True,
            margin=math.inf,
        )

    @classmethod
    def table(cls) -> "tuple[MarginLoss, ...]":
        """Return every row of the table, with its defaults."""
        return (
            cls.energy(),
            cls.perceptron(),
            cls.hinge(),
            cls.log(),
            cls.lvq2(),
            cls.classification(),
            cls.square_square(),
            cls.square_exponential(),
            cls.likelihood(),
            cls.empirical_error(),
        )


def _energy(right: Tensor, wrong: Tensor) -> Tensor:
    return right


def _perceptron(right: Tensor, wrong: Tensor) -> Tensor:
    return (right - wrong).relu()


def _hinge(margin: float, right: Tensor, wrong: Tensor) -> Tensor:
    return (margin + right - wrong).relu()


def _log(right: Tensor, wrong: Tensor) -> Tensor:
    # softplus is linear above 20, which costs the last digits in double precision.
    return torch.logaddexp(right - wrong, torch.zeros_like(right))


def _lvq2(limit: float, right: Tensor, wrong: Tensor) -> Tensor:
    return (right - wrong).clamp(0, limit)


def _classification(right: Tensor, wrong: Tensor) -> Tensor:
    return torch.sigmoid(right - wrong)


def _square_square(margin: float, right: Tensor, wrong: Tensor) -> Tensor:
    return right.square() + (margin - wrong).relu().square()


def _square_exponential(weight: float, right: Tensor, wrong: Tensor) -> Tensor:
    return right.square() + weight * (-wrong).exp()


def _likelihood(temperature: float, right: Tensor, energies: Tensor) -> Tensor:
    """Return E + T log sum exp(-E(y) / T), the cross-entropy of the logits -E / T."""
    if temperature == 1:
        return functional.cross_entropy(-energies, right, reduction="none")
    logits = energies / -temperature
    return temperature * functional.cross_entropy(logits, right, reduction="none")


def _empirical_error(temperature: float, right: Tensor, energies: Tensor) -> Tensor:
    return -torch.expm1(-_likelihood(temperature, right, energies) / temperature)
