"""Audit: every law that could apply, tried on one thing, as a table."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ebm import traits as words
from ebm.energy import Energy
from ebm.method import Method
from ebm.samplers import Sampler
from ebm.testing import laws
from ebm.testing.collapse import Collapse, find_collapse
from ebm.testing.inputs import Input
from ebm.testing.law import Law, Vacuous, Verdict, run
from ebm.testing.laws import (
    bounds,
    configurations,
    gradients,
    methods,
    precision,
    samplers,
    universal,
)
from ebm.testing.laws.methods import Trainee
from ebm.testing.laws.samplers import Kernel
from ebm.testing.report import Report
from ebm.testing.stored import counterexample, refuted
from ebm.testing.strategies import Case
from ebm.testing.subject import Refused, Subject, Uncallable, quiet, signature
from ebm.traits import Not, Reach, Trait

Item = tuple[Law, Trait | None, bool]
"""A law, the claim it tests, and whether a failure counts."""

SECONDARY = (
    gradients.swapped_gradients,
    gradients.gradient_orthogonal_to_row,
    gradients.torque_vanishes,
    gradients.force_vanishes,
    gradients.euler,
)


def audit(
    thing: Any,
    *,
    traits: Iterable[Trait] = (),
    inputs: Sequence[Input] | None = None,
    batch: Tensor | Sequence[Tensor] | None = None,
    cases: int = 50,
    seed: int | None = None,
    compile: bool = False,
    collapse: bool = True,
    progress: bool = True,
) -> Report:
    """Return which laws hold for an energy, a loss, a sampler or a method.

    Args:
        thing: A function of tensors, a module, an energy, a sampler or a method.
        traits: What is claimed beside what the thing states itself; a violated claim is a
            failure, anything else that does not hold is an observation.
        inputs: What it is called with; found out by calling it if None.
        batch: What a method's `terms` takes; points in the plane and views of them if None.
        cases: Batches drawn for each law.
        seed: Draws other batches; the same ones every time if None.
        compile: Try the law of the compiled graph too; it needs a compiler and minutes.
        collapse: Look where free embeddings end under a loss of views.
        progress: Show a progress bar.

    Raises:
        ValueError: The thing could not be called; the message says with what it was tried.
    """
    if isinstance(thing, type):
        raise Uncallable(
            f"thing must be an instance, got the class {thing.__name__}. "
            f"Write {thing.__name__}(...)."
        )
    if isinstance(thing, Sampler):
        return _whole(Kernel(thing), samplers.LAWS, "a sampler", cases, seed, progress=progress)
    if isinstance(thing, Method):
        trainee = _trainee(thing, batch)
        return _whole(trainee, methods.LAWS, "a method", cases, seed, progress=progress)
    subject = Subject(thing, inputs, tuple(traits))
    items = list(plan(subject, compile=compile))
    verdicts: list[Verdict] = []
    outcomes: dict[type, str] = {}
    for law, claim, claimed in _bar(items, subject.name, progress=progress):
        before = outcomes.get(type(claim), "")
        if law in SECONDARY and (before == "fails" or (not claimed and before != "holds")):
            continue  # the symmetry itself does not hold
        verdict = judge(law, subject, claim, cases=cases, seed=seed, claimed=claimed)
        if law not in SECONDARY:
            outcomes[type(claim)] = verdict.outcome
        verdicts.append(replace(verdict, law=_titled(law, claim)))
    found = _collapse(subject) if collapse else None
    return Report(
        subject.name, signature(subject.inputs), tuple(verdicts), found, tuple(_notes(subject))
    )


def plan(subject: Subject, *, compile: bool = False, observe: bool = True) -> Iterator[Item]:
    """Yield the laws to try: universal ones, claims, and what is worth observing."""
    for law in laws.UNIVERSAL:
        yield law, None, True
    energy = isinstance(subject.thing, Energy)
    if subject.each and subject.reach is Reach.OWN:
        yield configurations.batch_independence, None, True
    if energy:
        yield universal.sum_of_parts, None, True
    for trait in subject.traits:
        positive = trait.trait if isinstance(trait, Not) else trait
        found = laws.of(positive)[:1] if isinstance(trait, Not) else laws.of(positive)
        for law in found:
            if not law.universal or isinstance(trait, Not):
                yield law, trait, True
    if energy and subject.each and subject.reach is Reach.OWN and len(subject.inputs) == 1:
        yield configurations.score_is_the_gradient, None, True
        yield configurations.curl_vanishes, None, True
    yield precision.float32, None, energy
    yield precision.state_round_trip, None, energy
    yield universal.batch_of_one, None, False
    yield universal.finite_at_zero, None, False
    if compile:
        yield precision.compiled, None, True
    if not observe:
        return
    if subject.each and subject.reach is None:
        yield configurations.batch_independence, None, False
        yield configurations.curl_vanishes, None, False
    for trait in (*laws.OBSERVED, *_degree(subject)):
        alone = subject.each and len(subject.inputs) == 1
        if alone and isinstance(trait, words.PreventsCollapse | words.PerViewAffine):
            continue  # an energy of configurations has no views to collapse
        if not _spoken_of(trait, subject.traits):
            for law in laws.of(trait):
                yield law, trait, False


def _degree(subject: Subject) -> Iterator[Trait]:
    """Yield the degree of homogeneity that three batches agree on, if they do."""
    degrees = set()
    with quiet():
        for seed in (1, 2, 3):
            case = subject.case("gaussian", 6, 4, seed)
            doubled = case.replaced([2.0 * m for m in case.matrices])
            try:
                values = [float(subject.loss(a).detach()) for a in (case.arguments, doubled)]
            except Refused:
                return
            ratio = values[1] / values[0] if values[0] else 0.0
            degrees.add(round(math.log2(ratio), 9) if ratio > 0 else math.nan)
    if len(degrees) == 1 and not math.isnan(degree := degrees.pop()) and subject.views:
        yield words.Homogeneous(degree)


def judge(
    law: Law,
    subject: Any,
    claim: Trait | None,
    *,
    cases: int = 50,
    seed: int | None = None,
    claimed: bool = True,
) -> Verdict:
    """Return the verdict on a law, or on the opposite of one with its counterexample."""
    if not isinstance(claim, Not):
        return run(law, subject, claim, cases=cases, seed=seed, claimed=claimed)
    name = f"not {law.name}"
    stored = counterexample(claim, subject)
    statement = f"It is not true that: {law.statement}"
    base = Verdict(name, statement, "holds", 1, claimed=claimed)
    reason = law.applies(subject)
    if reason is not None:
        return replace(base, outcome="not applicable", cases=0, reason=reason)
    if stored is not None:
        if refuted(law, subject, claim.trait, stored) is not None:
            return base
        return replace(base, outcome="fails", reason="the stored counterexample obeys the law")
    tried = run(law, subject, claim.trait, cases=cases, seed=seed)
    if tried.outcome == "fails":
        return replace(base, cases=tried.cases)
    if tried.outcome == "holds":
        return replace(base, outcome="fails", cases=tried.cases, reason="the law holds everywhere")
    return replace(base, outcome="not applicable", cases=0, reason=tried.reason)


def _whole(
    subject: Any, tried: Sequence[Law], what: str, cases: int, seed: int | None, *, progress: bool
) -> Report:
    items: list[Item] = [(law, None, True) for law in tried]
    verdicts = [
        run(law, subject, cases=cases, seed=seed)
        for law, _, _ in _bar(items, subject.name, progress=progress)
    ]
    return Report(subject.name, what, tuple(verdicts))


def _trainee(method: Method, batch: Tensor | Sequence[Tensor] | None) -> Trainee:
    """Return the method with a batch; points, then pictures, where none is given."""
    if batch is not None:
        return Trainee(method, batch)
    generator = torch.Generator().manual_seed(0)
    refusal: Exception | None = None
    for shape in ((2,), (64,), (1, 8, 8), (3, 32, 32)):
        data = torch.randn(32, *shape, generator=generator)
        try:
            found, views = type(method).example_inputs(data)
            plain = found if isinstance(found, tuple) else (found,)
            made = plain if views is None else views(*plain)
            return Trainee(method, made, plain=plain)
        except Exception as error:  # the next shape may suit it
            refusal = refusal or error
    raise Uncallable(f"{refusal} Pass batch=.") from refusal


def _spoken_of(trait: Trait, stated: Sequence[Trait]) -> bool:
    for one in stated:
        inner = one.trait if isinstance(one, Not) else one
        if type(inner) is type(trait):
            return True
    return False


def _titled(law: Law, claim: Trait | None) -> str:
    inner = claim.trait if isinstance(claim, Not) else claim
    name = law.name
    if isinstance(inner, words.Homogeneous):
        name = f"{name} of degree {inner.degree:g}"
    if isinstance(inner, words.LowerBound | words.UpperBound) and not callable(inner.value):
        name = f"{name} {inner.value:g}"
    return f"not {name}" if isinstance(claim, Not) else name


def _bar(items: Sequence[Item], name: str, *, progress: bool) -> Iterable[Item]:
    if not progress:
        return items
    from tqdm import tqdm

    return tqdm(items, desc=f"audit {name}", unit="law", leave=False, dynamic_ncols=True)


def _collapse(subject: Subject) -> Collapse | None:
    if bounds.prevents_collapse.applies(subject) is not None or subject.views < 2:
        return None
    if subject.each and subject.reach is Reach.OWN:
        return None
    return find_collapse(subject)


def _notes(subject: Subject) -> Iterator[str]:
    if subject.dtype != torch.float64:
        yield "it computes in float32 only, so that its gradient was not measured"
    if subject.size != (5, 3):
        yield f"it refuses some sizes of batches, such as 5 x 3, and takes {subject.size[0]} x 4"
    if subject.stateful:
        yield "calling it changes its state: a second call on the same inputs differs"
    if subject.random:
        yield "it draws from torch's generator"
    with quiet():
        yield from _collapse_value(subject)
    if subject.cut:
        yield f"{_inputs(subject.cut)} no gradient (stop-gradient)"


def _inputs(places: Sequence[int]) -> str:
    if len(places) == 1:
        return f"input {places[0]} gets"
    return f"inputs {', '.join(map(str, places[:-1]))} and {places[-1]} get"


KNOWN = (
    ("0", lambda n, d: 0.0),
    ("log n", lambda n, d: torch.tensor(float(n)).log().item()),
    ("log(2n - 1)", lambda n, d: torch.tensor(2.0 * n - 1).log().item()),
    ("log(2n - 2)", lambda n, d: torch.tensor(2.0 * n - 2).log().item()),
    ("2 log n", lambda n, d: 2 * torch.tensor(float(n)).log().item()),
    ("log d", lambda n, d: torch.tensor(float(d)).log().item()),
    ("d", lambda n, d: float(d)),
)


def _collapse_value(subject: Subject) -> Iterator[str]:
    if bounds.collapse_value.applies(subject) is not None:
        return
    if any(isinstance(trait, words.CollapseValue) for trait in subject.traits):
        return
    found: list[tuple[int, int, float]] = []
    for seed, (n, d) in enumerate(((4, 2), (4, 2), (7, 3), (9, 5))):
        case: Case = subject.case("gaussian", n, d, seed)
        try:
            value = float(subject.loss(case.replaced(bounds.collapsed(case))).detach())
        except (Refused, Vacuous):
            return
        found.append((n, case.d, value))
    if not all(value == value for *_, value in found):
        return
    size = max(subject.typical, 1e-30)
    for name, number in KNOWN:
        if all(abs(number(n, d) - value) < 1e-5 * size for n, d, value in found):
            yield f"a batch whose rows are all equal costs {name}"
            return
    if all(abs(value - found[0][2]) < 1e-5 * size for *_, value in found):
        yield f"a batch whose rows are all equal costs {found[0][2]:.6g}"
    elif abs(found[0][2] - found[1][2]) > 1e-5 * size:
        yield "what a batch of equal rows costs depends on the row"
    else:
        listed = ", ".join(f"{value:.4g} at n = {n}, d = {d}" for n, d, value in found[1:])
        yield f"a batch whose rows are all equal costs {listed}"
