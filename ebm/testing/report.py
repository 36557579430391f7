"""What an audit found: verdicts, printed as a table or given as numbers."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ebm.testing.collapse import Collapse
from ebm.testing.law import Verdict, replay

WIDTH = 84


@dataclass(frozen=True)
class Report:
    """The verdicts on one thing; `print` it for the table, ask `ok` for the outcome."""

    name: str
    inputs: str
    """What it was called with, in words."""
    verdicts: tuple[Verdict, ...]
    collapse: Collapse | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The verdicts that make the audit fail: universal or claimed, and violated."""
        return tuple(verdict for verdict in self.verdicts if verdict.failed)

    @property
    def ok(self) -> bool:
        """Whether nothing universal or claimed was violated."""
        return not self.failures

    def __getitem__(self, law: str) -> Verdict:
        """Return the verdict on a law, by its name."""
        for verdict in self.verdicts:
            if verdict.law == law:
                return verdict
        names = ", ".join(verdict.law for verdict in self.verdicts)
        raise KeyError(f"law must be one of {names}, got {law!r}.")

    def as_dict(self) -> dict[str, Any]:
        """Return the verdicts by law name, as plain numbers and strings."""
        laws = {verdict.law: _plain(verdict) for verdict in self.verdicts}
        found: dict[str, Any] = {"name": self.name, "inputs": self.inputs, "ok": self.ok}
        found["laws"] = laws
        if self.collapse is not None:
            found["collapse"] = self.collapse.as_dict()
        found["notes"] = list(self.notes)
        return found

    def __str__(self) -> str:
        """Return the table, and below it each failure with its counterexample."""
        what = f", {self.inputs}" if self.inputs.startswith("a ") else f"({self.inputs})"
        lines = [f"{self.name}{what}", ""]
        sections = (
            ("must hold", [v for v in self.verdicts if v.claimed]),
            ("observed, not claimed", [v for v in self.verdicts if not v.claimed]),
        )
        width = max((len(v.law) for v in self.verdicts), default=10)
        for title, verdicts in sections:
            shown = [v for v in verdicts if v.outcome != "not applicable"]
            if shown:
                lines.append(title)
                lines += [_row(v, width) for v in shown]
                lines.append("")
        absent = [v for v in self.verdicts if v.outcome == "not applicable"]
        if absent:
            lines.append("not applicable")
            lines += [f"  {v.law:<{width}}  {v.reason[:WIDTH]}" for v in absent]
            lines.append("")
        if self.collapse is not None:
            lines += [*_wrapped("collapse: ", str(self.collapse)), ""]
        for note in self.notes:
            lines += _wrapped("note: ", note)
        for verdict in self.failures:
            lines += ["", *_details(verdict)]
        failed = len(self.failures)
        held = sum(v.outcome == "holds" for v in self.verdicts if v.claimed)
        outcome = f"{failed} of {held + failed} laws fail" if failed else f"all {held} laws hold"
        lines.append(outcome)
        return "\n".join(lines)

    __repr__ = __str__


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(head + text, WIDTH, subsequent_indent=" " * len(head))


def _row(verdict: Verdict, width: int) -> str:
    if verdict.outcome == "holds":
        refused = f", {verdict.refused} refused" if verdict.refused else ""
        word, detail = "holds", f"{verdict.cases} cases{refused}"
    else:
        word, detail = "FAILS" if verdict.claimed else "no", verdict.reason
    head = f"  {verdict.law:<{width}}  {word:<5}  "
    room = max(40, WIDTH - len(head))
    lines = textwrap.wrap(detail, room, max_lines=2, placeholder=" ...") or [""]
    return f"\n{' ' * len(head)}".join([head + lines[0], *lines[1:]])


def _details(verdict: Verdict) -> list[str]:
    violation = verdict.violation
    lines = [f"{verdict.law} FAILS: {verdict.statement}"]
    if violation is None:
        return [*lines, f"  {verdict.reason}"]
    lines += textwrap.wrap(violation.message, WIDTH, initial_indent="  ", subsequent_indent="  ")
    if not math.isnan(violation.measured):
        lines.append(f"  measured {violation.measured:.4g}, allowed {violation.allowed:.3g}")
    lines += [f"  x{i + 1} = {replay(a)}" for i, a in enumerate(violation.inputs)]
    return lines


def _plain(verdict: Verdict) -> dict[str, Any]:
    found: dict[str, Any] = {
        "outcome": verdict.outcome,
        "claimed": verdict.claimed,
        "statement": verdict.statement,
        "cases": verdict.cases,
    }
    if verdict.refused:
        found["refused"] = verdict.refused
    if verdict.reason:
        found["reason"] = verdict.reason
    violation = verdict.violation
    if violation is not None:
        found["measured"] = _finite(violation.measured)
        found["allowed"] = _finite(violation.allowed)
        found["counterexample"] = _lists(violation.inputs)
    return found


def _lists(inputs: Sequence[Tensor | float]) -> list[Any]:
    return [a.detach().tolist() if isinstance(a, Tensor) else a for a in inputs]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
