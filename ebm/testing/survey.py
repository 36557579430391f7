"""Survey: which law holds for which energy, as one table, and why not where it does not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from torch import Tensor

from ebm.testing import laws
from ebm.testing.audit import judge
from ebm.testing.law import Law, Violation
from ebm.testing.stored import counterexample, smallest
from ebm.testing.subject import Subject
from ebm.traits import Not, Trait


@dataclass(frozen=True)
class Survey:
    """Which law holds for which energy: rows are energies, columns are laws."""

    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    """For each energy, what each law came to: "yes" (stated, and found true), "(yes)" (not
    stated, but so far not refuted), "no" (refuted by a counterexample) or "" (not applicable)."""
    counterexamples: dict[str, dict[str, Violation]] = field(default_factory=dict)
    """For each energy, by the name of a law that does not hold for it: a small batch, and how
    it fails there."""

    def __str__(self) -> str:
        """Return the table in Markdown, and below it each counterexample."""
        lines = [self._table()]
        for name, found in self.counterexamples.items():
            for law, violation in found.items():
                lines += ["", f"{name}, {law}: {violation.message}"]
                lines += [f"    x{i} = {text}" for i, text in _shown(violation)]
        return "\n".join(lines)

    def _table(self) -> str:
        lines = [f"| | {' | '.join(self.columns)} |", f"|---|{'---|' * len(self.columns)}"]
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in self.rows.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table, and below it each energy's counterexamples, folded."""
        upright = 'style="writing-mode: vertical-rl; transform: rotate(180deg); text-align: left"'
        head = "".join(f"<th {upright}>{escape(name)}</th>" for name in self.columns)
        body = [
            f"<th>{escape(name)}</th>" + "".join(f"<td>{MARKS.get(c, c)}</td>" for c in cells)
            for name, cells in self.rows.items()
        ]
        folded = [_folded(name, found) for name, found in self.counterexamples.items() if found]
        return "\n".join([_html(f"<th></th>{head}", body), *folded])


MARKS = {"no": "<b>no</b>"}


def survey(
    things: Mapping[str, Any], traits: Sequence[Trait] = laws.OBSERVED, *, cases: int = 5
) -> Survey:
    """Return what energies state about themselves, each statement checked.

    A trait gives "yes" where its laws hold on every drawn batch. A negative trait gives "no",
    with its counterexample made as small as it can be. What is not stated is tried too.

    Args:
        things: Energies or losses by name.
        traits: The columns; one that applies to nothing is left out.
        cases: Batches drawn for each law.

    Raises:
        Violation: A statement is not true.
        ValueError: One of them could not be called.
    """
    columns = [(trait, law) for trait in traits for law in laws.of(trait)[:1]]
    rows: dict[str, tuple[str, ...]] = {}
    counterexamples: dict[str, dict[str, Violation]] = {}
    for name, thing in things.items():
        subject = Subject(thing, name=name)
        found = counterexamples.setdefault(name, {})
        cells: list[str] = []
        for trait, law in columns:
            stated = next((t for t in subject.traits if _kind(t) is type(trait)), None)
            cell, violation = _cell(subject, law, trait, stated, cases)
            cells.append(cell)
            if violation is not None:
                found[law.name] = violation
        rows[name] = tuple(cells)
    used = [i for i in range(len(columns)) if any(cells[i] for cells in rows.values())]
    rows = {name: tuple(cells[i] for i in used) for name, cells in rows.items()}
    return Survey(tuple(columns[i][1].name for i in used), rows, counterexamples)


def _cell(
    subject: Subject, law: Law, trait: Trait, stated: Trait | None, cases: int
) -> tuple[str, Violation | None]:
    """Return the word for a law, and how it fails where it does."""
    if law.applies(subject) is not None:
        return "", None
    claimed, denied, start = stated or trait, isinstance(stated, Not), subject.case()
    if isinstance(stated, Not):
        trait, start = stated.trait, counterexample(stated, subject) or start
    if denied or stated is None:
        violation = smallest(law, subject, trait, start)
        if violation is not None:
            return "no", violation
    verdict = judge(law, subject, claimed, cases=cases)
    if stated is not None and verdict.outcome == "fails":
        raise verdict.violation or Violation(f"{subject.name}, {verdict.law}: {verdict.reason}")
    words = {"holds": "no" if denied else "yes" if stated else "(yes)", "fails": "no"}
    return words.get(verdict.outcome, ""), verdict.violation


def _kind(trait: Trait) -> type[Trait]:
    return type(trait.trait if isinstance(trait, Not) else trait)


def _shown(violation: Violation) -> Iterator[tuple[int, str]]:
    """Yield each input's place, from 1, and its numbers, to three digits."""
    for i, a in enumerate(violation.inputs):
        yield i + 1, _numbers(a.tolist() if isinstance(a, Tensor) else a)


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_numbers(v) for v in value)}]"
    return f"{value:.3g}"


def _folded(name: str, found: Mapping[str, Violation]) -> str:
    views = max(len(violation.inputs) for violation in found.values())
    heads = ["law", *(f"x{i + 1}" for i in range(views)), "what happens"]
    rows: list[str] = []
    for law, violation in found.items():
        texts = dict(_shown(violation))
        cells = [
            f"<code>{texts.get(i + 1, '').replace('], ', '],<br>')}</code>" for i in range(views)
        ]
        cells = [escape(law), *cells, escape(violation.message)]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    head = "".join(f"<th>{word}</th>" for word in heads)
    return f"<details><summary>{escape(name)}: why not</summary>{_html(head, rows)}</details>"


def _html(head: str, rows: Sequence[str]) -> str:
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        '<div class="table-wrapper"><table class="docutils">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )
