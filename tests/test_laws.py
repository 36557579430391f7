"""The laws, run over the table of everything that is ours."""

import os

import pytest
import table
import torch

from ebm.testing.audit import judge, plan
from ebm.testing.subject import Subject

SEED = int(os.environ["EBM_LAW_SEED"]) if "EBM_LAW_SEED" in os.environ else None
"""Draws other batches; `python -m tests.flakiness` sets it."""

FEW, MANY = 5, 100


def judged(subject: Subject, cases: int) -> None:
    for law, claim, claimed in plan(subject, observe=False):
        if claimed:
            verdict = judge(law, subject, claim, cases=cases, seed=SEED)
            if verdict.failed:
                raise verdict.violation or AssertionError(f"{verdict.law}: {verdict.reason}")


def energy_subject(row: table.EnergyRow) -> Subject:
    torch.manual_seed(0)
    return Subject(row.build(), row.inputs, row.traits, row.name)


def term_subject(row: table.TermRow) -> Subject:
    torch.manual_seed(0)
    inputs = row.inputs or (table.View(),) * row.views
    subject = Subject(row.build(), inputs, row.traits, row.name)
    subject.least = row.least
    return subject


@pytest.mark.parametrize("row", table.ENERGIES, ids=lambda row: row.name)
def test_energies_obey_their_laws(row):
    judged(energy_subject(row), FEW)


@pytest.mark.parametrize("row", table.TERMS, ids=lambda row: row.name)
def test_terms_obey_their_laws(row):
    judged(term_subject(row), FEW)


@pytest.mark.slow
@pytest.mark.parametrize("row", table.ENERGIES, ids=lambda row: row.name)
def test_energies_obey_their_laws_on_many_batches(row):
    judged(energy_subject(row), MANY)


@pytest.mark.slow
@pytest.mark.parametrize("row", table.TERMS, ids=lambda row: row.name)
def test_terms_obey_their_laws_on_many_batches(row):
    judged(term_subject(row), MANY)
