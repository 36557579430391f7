"""Survey: which law holds for which energy, as one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ebm.testing import laws
from ebm.testing.audit import judge
from ebm.testing.law import Vacuous, Violation, counterexample
from ebm.testing.subject import Refused, Subject
from ebm.traits import Not, Trait


@dataclass(frozen=True)
class Survey:
    """Which law holds for which energy: rows are energies, columns are laws."""

    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    """For each energy, what each law came to: "yes", "no (by how much)" or "" (not stated)."""

    def __str__(self) -> str:
        """Return the table in Markdown."""
        lines = [f"| | {' | '.join(self.columns)} |", f"|---|{'---|' * len(self.columns)}"]
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in self.rows.items()]
        return "\n".join(lines)

    _repr_markdown_ = __str__


def survey(
    things: Mapping[str, Any], traits: Sequence[Trait] = laws.OBSERVED, *, cases: int = 5
) -> Survey:
    """Return what energies state about themselves, each statement checked.

    A trait gives "yes" where its laws hold on every drawn batch, a negative trait gives "no"
    with the error that its counterexample shows.

    Args:
        things: Energies or losses by name.
        traits: The columns.
        cases: Batches drawn for each law.

    Raises:
        Violation: A statement is not true.
        ValueError: One of them could not be called.
    """
    columns = [(trait, law) for trait in traits for law in laws.of(trait)[:1]]
    rows: dict[str, tuple[str, ...]] = {}
    for name, thing in things.items():
        subject = Subject(thing, name=name)
        rows[name] = tuple(_cell(subject, trait, law, cases) for trait, law in columns)
    return Survey(tuple(law.name for _, law in columns), rows)


def _cell(subject: Subject, trait: Trait, law: Any, cases: int) -> str:
    stated = next((t for t in subject.traits if _kind(t) is type(trait)), None)
    if stated is None:
        return ""
    verdict = judge(law, subject, stated, cases=cases)
    if verdict.outcome == "fails":
        raise verdict.violation or Violation(f"{subject.name}, {verdict.law}: {verdict.reason}")
    if verdict.outcome == "not applicable":
        return ""
    return f"no ({_error(subject, stated, law)})" if isinstance(stated, Not) else "yes"


def _kind(trait: Trait) -> type[Trait]:
    return type(trait.trait if isinstance(trait, Not) else trait)


def _error(subject: Subject, trait: Not, law: Any) -> str:
    stored = counterexample(trait, subject)
    for seed in range(8):
        try:
            law.check(subject, replace(stored or subject.case(), seed=seed), trait.trait)
        except Violation as violation:
            return f"{violation.measured:.2g}"
        except (Refused, Vacuous):
            continue
    return "..."
