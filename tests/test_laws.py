"""The laws, run over the table of everything that is ours."""

import os

import pytest
import table
import torch

from ebm import energies, terms, traits
from ebm.testing import laws
from ebm.testing.audit import judge, plan
from ebm.testing.laws import methods, samplers
from ebm.testing.laws.methods import Trainee
from ebm.testing.laws.samplers import Kernel
from ebm.testing.subject import Subject

SEED = int(os.environ["EBM_LAW_SEED"]) if "EBM_LAW_SEED" in os.environ else None
"""Draws other batches; `python -m tests.flakiness` sets it."""

FEW, MANY = 5, 100


def obeyed(law, subject, claim, cases):
    verdict = judge(law, subject, claim, cases=cases, seed=SEED)
    if verdict.failed:
        raise verdict.violation or AssertionError(f"{verdict.law}: {verdict.reason}")


def judged(subject: Subject, cases: int) -> None:
    for law, claim, claimed in plan(subject, observe=False):
        if claimed:
            obeyed(law, subject, claim, cases)


def energy_subject(row: table.EnergyRow) -> Subject:
    torch.manual_seed(0)
    return Subject(row.build(), row.inputs, row.traits, row.name)


def term_subject(row: table.TermRow) -> Subject:
    torch.manual_seed(0)
    inputs = row.inputs or (table.View(),) * row.views
    subject = Subject(row.build(), inputs, row.traits, row.name)
    subject.least = row.least
    return subject


def method_trainee(row: table.MethodRow) -> Trainee:
    torch.manual_seed(0)
    batch = row.batch(row.n, torch.Generator().manual_seed(SEED or 0))
    plain = row.plain and row.plain(row.n, torch.Generator().manual_seed(SEED or 0))
    return Trainee(row.build(batch), batch, row.name, row.frozen, plain)


@pytest.mark.parametrize("row", table.ENERGIES, ids=lambda row: row.name)
def test_energies_obey_their_laws(row):
    judged(energy_subject(row), FEW)


@pytest.mark.parametrize("row", table.TERMS, ids=lambda row: row.name)
def test_terms_obey_their_laws(row):
    judged(term_subject(row), FEW)


@pytest.mark.parametrize("row", table.SAMPLERS, ids=lambda row: row.name)
def test_samplers_obey_their_laws(row):
    kernel = Kernel(row.build(), exact=row.exact, name=row.name)
    for law in samplers.LAWS:
        obeyed(law, kernel, None, FEW)


@pytest.mark.parametrize("row", table.METHODS, ids=lambda row: row.name)
def test_methods_obey_their_laws(row):
    trainee = method_trainee(row)
    for law in methods.LAWS:
        obeyed(law, trainee, None, 1)


@pytest.mark.slow
@pytest.mark.parametrize("row", table.ENERGIES, ids=lambda row: row.name)
def test_energies_obey_their_laws_on_many_batches(row):
    judged(energy_subject(row), MANY)


@pytest.mark.slow
@pytest.mark.parametrize("row", table.TERMS, ids=lambda row: row.name)
def test_terms_obey_their_laws_on_many_batches(row):
    judged(term_subject(row), MANY)


@pytest.mark.slow
@pytest.mark.parametrize("row", table.SAMPLERS, ids=lambda row: row.name)
def test_samplers_obey_their_laws_on_many_batches(row):
    kernel = Kernel(row.build(), exact=row.exact, name=row.name)
    for law in samplers.LAWS:
        obeyed(law, kernel, None, MANY)


def test_every_law_says_what_it_is():
    everything = [law for family in laws.FAMILIES.values() for law in family]
    assert len(everything) > 70
    for law in everything:
        assert law.statement.endswith("."), law.name
        assert law.scale, law.name
        assert law.conditions, law.name
        assert law.tolerance, law.name
    assert len({law.name for law in everything}) == len(everything)


def test_the_table_has_every_exported_energy_and_term():
    rows = [row.build() for row in (*table.ENERGIES, *table.TERMS)]
    found = {type(module).__name__ for row in rows for module in row.modules()}
    wanted = {
        name
        for package in (energies, terms)
        for name in package.__all__
        if isinstance(getattr(package, name), type)
    } - {"Target", *table.ELSEWHERE}
    assert wanted <= found, f"add a row to tests/table.py for {sorted(wanted - found)}"


SYMMETRIES = {
    traits.BatchPermutation: 1,
    traits.Rotation: 1,
    traits.SignFlip: 1,
    traits.DimensionPermutation: 1,
    traits.Translation: 1,
    traits.PositiveScale: 1,
    traits.PerViewAffine: 1,
    traits.PreventsCollapse: 1,
    traits.ViewSwap: 2,
    traits.PerViewRotation: 2,
    traits.PerViewTranslation: 2,
}
"""What each term has to claim or to deny, from this many views on."""

CANNOT_SAY = {
    ("triplet", traits.ViewSwap),  # of two views
    ("triplet_paper", traits.ViewSwap),
    ("whitening", traits.PreventsCollapse),  # a collapsed batch is refused
    ("instance_contrast", traits.PreventsCollapse),  # collapse is that of its memories too
}


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in table.TERMS
        if row.name not in ("vicreg", "nt_xent_official") and not row.name.startswith("margin")
    ],
    ids=lambda row: row.name,
)
def test_every_symmetry_of_a_term_is_claimed_or_denied_with_a_counterexample(row):
    subject = term_subject(row)
    stated = {type(trait) for trait in subject.traits}
    denied = {type(t.trait) for t in subject.traits if isinstance(t, traits.Not)}
    for kind, least in SYMMETRIES.items():
        if subject.views < least or (row.name, kind) in CANNOT_SAY:
            continue
        if kind is traits.BatchPermutation and traits.Random() in subject.traits:
            continue
        assert (kind in stated) != (kind in denied), kind.__name__
    for trait in subject.traits:
        if isinstance(trait, traits.Not):
            assert trait.counterexample, f"{trait.trait} has no stored counterexample"
