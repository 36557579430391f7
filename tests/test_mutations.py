"""Every seeded bug is caught by a law, and every right copy passes all of them."""

import mutants
import pytest
import torch

from ebm.testing import law as engine
from ebm.testing import laws
from ebm.testing.audit import judge, plan
from ebm.testing.law import run
from ebm.testing.laws import (
    latents,
    memories,
    methods,
    objectives,
    partitions,
    samplers,
    shards,
)
from ebm.testing.subject import Subject

CASES = 15
FAMILIES = {
    samplers.Kernel: samplers.LAWS,
    methods.Trainee: methods.LAWS,
    objectives.Objective: objectives.LAWS,
    memories.Store: memories.LAWS,
    shards.Spread: shards.LAWS,
    partitions.Assigning: partitions.ASSIGNMENT,
    partitions.Passing: partitions.PASSES,
    latents.Inferring: latents.INFERENCE,
    latents.Shrinking: latents.THRESHOLD,
    latents.Softening: latents.FREE_ENERGY,
}
CAUGHT: dict[str, str] = {}


def rows(found):
    slow = pytest.mark.slow
    return [pytest.param(m, id=m.name, marks=[slow] if m.slow else []) for m in found]


def tried(subject):
    """Yield a verdict for each law that this subject has to obey."""
    if isinstance(subject, Subject):
        items = [item for item in plan(subject, observe=False) if item[2]]
        # What was claimed is the likeliest to be wrong; a descent is the dearest to try.
        dear = laws.bound_attained
        for law, claim, _ in sorted(items, key=lambda item: (item[0] is dear, item[1] is None)):
            yield judge(law, subject, claim, cases=CASES)
        return
    for law in FAMILIES[type(subject)]:
        yield run(law, subject, cases=CASES)


@pytest.fixture(autouse=True)
def _little_shrinking(monkeypatch):
    monkeypatch.setattr(engine, "SHRINK_TRIES", 5)


@pytest.fixture(scope="module", autouse=True)
def _which_law_caught_which(request):
    yield
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and CAUGHT:
        terminal.write_line("")
        for name, law in CAUGHT.items():
            terminal.write_line(f"  {name:<34} caught by: {law}")
        terminal.write_line(f"{len(CAUGHT)} seeded bugs caught")


@pytest.mark.parametrize("mutant", rows(mutants.MUTANTS))
def test_every_bug_is_caught(mutant):
    torch.manual_seed(0)
    subject = mutant.build()
    law = next((verdict.law for verdict in tried(subject) if verdict.outcome == "fails"), None)
    assert law is not None, f"no law catches {mutant.name}"
    CAUGHT[mutant.name] = law


@pytest.mark.parametrize("right", rows(mutants.CORRECT))
def test_no_law_accuses_the_right_one(right):
    torch.manual_seed(0)
    subject = right.build()
    for verdict in tried(subject):
        assert verdict.outcome != "fails", f"{verdict.law}: {verdict.violation}"


def test_there_are_enough_bugs():
    assert len(mutants.MUTANTS) >= 40
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
