"""A law: a statement about a subject that is tried on drawn cases.

|left - right| <= 32 * eps * S, with S the natural magnitude of what is compared: never the
loss alone where it can approach zero. S and eps are the subject's.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
import hypothesis.errors
from hypothesis import HealthCheck, Phase, Verbosity, settings
from torch import Tensor

from ebm.testing import strategies
from ebm.testing.inputs import View
from ebm.testing.strategies import Case
from ebm.testing.subject import Subject, quiet
from ebm.traits import Trait

C = 32
"""The constant in front of eps * S."""

SHRINK_TRIES = 300
SHRINK_SECONDS = 10.0
"""Shrinking stops after so many tries; the clock is for a slow loss alone."""


class Violation(AssertionError):
    """A law that does not hold, with the inputs, the measured and the allowed error."""

    def __init__(
        self,
        message: str,
        measured: float = math.nan,
        allowed: float = math.nan,
        inputs: Sequence[Tensor | float] = (),
    ) -> None:
        super().__init__(message)
        self.message, self.measured, self.allowed = message, measured, allowed
        self.inputs = tuple(inputs)
        self.law: Law | None = None

    def __str__(self) -> str:
        """Return the message, the numbers and the inputs, ready to replay."""
        lines = [self.message]
        if not math.isnan(self.measured):
            lines.append(f"measured {self.measured:.3g}, allowed {self.allowed:.3g}")
        lines += [f"x{i + 1} = {replay(a)}" for i, a in enumerate(self.inputs)]
        if self.law is not None:
            lines.insert(0, f"{self.law.name}: {self.law.statement}")
        return "\n".join(lines)


class Vacuous(Exception):
    """The law says nothing about this case."""


Check = Callable[[Any, Case, Any], None]
Applies = Callable[[Any], str | None]


@dataclass(frozen=True)
class Law:
    """One law: its name, what it states, when, how exactly, and how it is tried."""

    name: str
    statement: str
    check: Check
    conditions: str = "none"
    scale: str = (
        "the loss here and at normal inputs, and sum |gradient * input|, an input being 1 at least"
    )
    """S, in words."""
    applies: Applies = lambda subject: None
    """Why the law does not apply to a subject, or None."""
    kinds: tuple[str, ...] = strategies.KINDS
    """The kinds of batches on which it is tried, beside small explicit ones."""
    small: bool = True
    """Whether small explicit batches, with their ties and zeros, are among them."""
    universal: bool = False
    """Whether every energy and loss has to obey it."""
    least: int = 2
    least_dim: int = 1
    share: float = 1.0
    """The share of the usual number of cases that is enough."""
    every_kind: bool = False
    """Whether every kind is tried, however few cases are asked for."""

    @property
    def tolerance(self) -> str:
        """What an error may be, in words."""
        exact = self.scale.startswith("none")
        return self.scale if exact else f"{C} * eps * S, unless stated; S: {self.scale}"

    def cases(self, subject: Any, kinds: Sequence[str] | None = None) -> Any:
        """Return the strategy of the cases on which it is tried."""
        fixed = next((i.dim for i in subject.inputs if isinstance(i, View) and i.dim), None)
        return strategies.cases(
            subject.inputs,
            kinds=kinds or self.kinds,
            least=max(self.least, subject.least),
            least_dim=self.least_dim if fixed is None else 1,
            most=12,
        )

    def __repr__(self) -> str:
        """Return the name and the statement."""
        return f"Law({self.name}: {self.statement})"


@dataclass(frozen=True)
class Verdict:
    """What became of one law on one subject."""

    law: str
    statement: str
    outcome: str
    """"holds", "fails" or "not applicable"."""
    cases: int = 0
    refused: int = 0
    reason: str = ""
    violation: Violation | None = field(default=None, repr=False)
    claimed: bool = True
    """Whether a failure counts: the law is universal, or its trait was claimed."""

    @property
    def failed(self) -> bool:
        """Whether this verdict makes an audit fail."""
        return self.claimed and self.outcome == "fails"


def law(**options: Any) -> Callable[[Check], Law]:
    """Return a decorator that makes a law of a check; the docstring is its statement."""

    def made(check: Check) -> Law:
        statement = " ".join((check.__doc__ or "").split())
        return Law(check.__name__.replace("_", " ").strip(), statement, check, **options)

    return made


def close(
    subject: Subject,
    left: Tensor,
    right: Tensor,
    scale: float,
    message: str,
    inputs: Sequence[Tensor | float],
    *,
    factor: float = 1.0,
) -> None:
    """Raise a violation unless both sides agree within 32 * eps * S.

    Raises:
        Violation: They differ by more.
    """
    if not bool(left.isfinite().all()) or not bool(right.isfinite().all()):
        raise Vacuous
    allowed = C * subject.eps * scale * factor
    measured = float((left - right).abs().max()) if left.numel() else 0.0
    fail_beyond(subject, measured, allowed, message, inputs)


def fail_beyond(
    subject: Subject,
    measured: float,
    allowed: float,
    message: str,
    inputs: Sequence[Tensor | float],
) -> None:
    """Raise a violation if the error is beyond what is allowed and beyond float32's own.

    Raises:
        Violation: It is.
    """
    if measured > allowed:
        allowed = max(allowed, C * subject.rounding(inputs))
    if measured > allowed:
        raise Violation(message, measured, allowed, inputs)


def run(
    law: Law,
    subject: Any,
    claim: Trait | None = None,
    *,
    cases: int = 50,
    seed: int | None = None,
    claimed: bool = True,
) -> Verdict:
    """Return the verdict on a law, with Hypothesis' minimal counterexample if it fails.

    Args:
        law: The law.
        subject: What it is tried on: a `Subject`, or a sampler's or method's wrapper.
        claim: The trait that is tested, where it carries numbers.
        cases: How many batches are drawn.
        seed: Draws other batches; the same ones every time if None.
        claimed: Whether a failure counts.
    """
    verdict = Verdict(law.name, law.statement, "not applicable", claimed=claimed)
    reason = law.applies(subject)
    if reason is not None:
        return replace(verdict, reason=reason)
    cases = max(1, round(cases * law.share))
    search = _Search(law, subject, claim)
    with quiet():
        for kinds, budget in _phases(law, cases):
            if kinds == law.kinds:
                search.sweep(seed or 0, budget)
            if search.found is None:
                search.hunt(kinds, budget, seed)
            if search.found is not None:
                break
    violation = search.found
    if violation is not None:
        violation.law = law
        return replace(
            verdict,
            outcome="fails",
            cases=search.ran,
            refused=search.refused,
            reason=violation.message,
            violation=violation,
        )
    if search.ran == 0:
        why = search.why or "no drawn batch meets its conditions"
        return replace(verdict, refused=search.refused, reason=why)
    return replace(verdict, outcome="holds", cases=search.ran, refused=search.refused)


def replay(argument: Tensor | float) -> str:
    """Return Python that makes the argument again."""
    if not isinstance(argument, Tensor):
        return repr(argument)
    if argument.numel() > 400:
        return f"a tensor of shape {tuple(argument.shape)}"
    rounded = [_number(v) for v in argument.flatten().tolist()]
    text = _nested(rounded, argument.shape)
    kind = "" if not argument.is_floating_point() else ", dtype=torch.float64"
    return f"torch.tensor({text}{kind})"


def _number(value: float) -> str:
    return (
        repr(value) if isinstance(value, int) else f"{value:.17g}" if value % 1 else f"{value:.1f}"
    )


def _nested(values: list[str], shape: Sequence[int]) -> str:
    if not shape:
        return values[0]
    if len(shape) == 1:
        return f"[{', '.join(values)}]"
    step = len(values) // shape[0] if shape[0] else 0
    rows = [_nested(values[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
    return f"[{', '.join(rows)}]"


def _phases(law: Law, cases: int) -> list[tuple[tuple[str, ...], int]]:
    """Return small explicit batches first: what fails there is shown in simple numbers."""
    if not law.small:
        return [(law.kinds, cases)]
    if not law.kinds:
        return [((strategies.SMALL,), cases)]
    small = max(1, cases * 2 // 5)
    return [((strategies.SMALL,), small), (law.kinds, max(1, cases - small))]


class _Enough(KeyboardInterrupt):
    """Ends a search whose time for shrinking is over; Hypothesis lets it through."""


class _Search:
    """One hunt for a counterexample; it keeps the last one that Hypothesis shrank to."""

    def __init__(self, law: Law, subject: Any, claim: Trait | None) -> None:
        self.law, self.subject, self.claim = law, subject, claim
        self.ran = self.refused = 0
        self.found: Violation | None = None
        self.why = ""
        self.size = (math.inf, math.inf)
        self.deadline = math.inf
        self.tries = 0

    def body(self, case: Case) -> None:
        """Try one case and remember the smallest violation."""
        if self.found is not None:
            self.tries += 1
            if self.tries > SHRINK_TRIES or time.monotonic() > self.deadline:
                raise _Enough
        try:
            self.law.check(self.subject, case, self.claim)
        except Vacuous as reason:
            self.why = self.why or str(reason)
            return
        except Violation as violation:
            if self.found is None:
                self.ran += 1
                self.deadline = time.monotonic() + SHRINK_SECONDS
            size = _size(case)
            if self.found is None or size <= self.size:
                self.found, self.size = violation, size
            raise
        except Exception as error:  # a stranger's backward may raise anything
            self.refused += self.found is None
            self.why = self.why or f"refused: {str(error)[:200]}"
            return
        self.ran += self.found is None

    def sweep(self, seed: int, budget: int) -> None:
        """Try one batch of every kind, so that none is left to chance; shrink a failure."""
        least = max(self.law.least, self.subject.least)
        enough = budget >= len(self.law.kinds) and len(self.law.kinds) > 3
        if not (enough or self.law.every_kind):
            return
        for kind in self.law.kinds:
            case = strategies.fixed(self.subject.inputs, kind, least + 4, 4, seed + 1)
            try:
                self.body(case)
            except Violation:
                self.hunt((kind,), budget, seed)
                return

    def hunt(self, kinds: tuple[str, ...], budget: int, seed: int | None) -> None:
        """Draw cases of these kinds until one fails or the budget is spent."""

        def tried(case: Case) -> None:
            self.body(case)

        test: Any = hypothesis.given(self.law.cases(self.subject, kinds))(tried)
        test = settings(
            max_examples=budget,
            derandomize=seed is None,
            database=None,
            deadline=None,
            verbosity=Verbosity.quiet,
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
            phases=(Phase.generate, Phase.shrink),
        )(test)
        if seed is not None:
            test = hypothesis.seed(seed)(test)
        try:
            test()
        except (Violation, _Enough):
            return
        except hypothesis.errors.Flaky:
            if self.found is None:
                raise


def _size(case: Case) -> tuple[float, float]:
    numbers = sum(a.numel() for a in case.arguments if isinstance(a, Tensor))
    digits = sum(len(f"{v:g}") for m in case.matrices for v in m.flatten().tolist()[:64])
    return float(numbers), float(digits)
