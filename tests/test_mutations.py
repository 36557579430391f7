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

STORIES = {
    "Barlow Twins' statistics over both views together": "joint_statistics",
    "NT-Xent with the example among its negatives": "self_among_negatives",
    "NT-Xent with half of the negatives": "half_of_the_negatives",
    "a temperature that misses the positive": "temperature_misses_the_positive",
    "a log-sum-exp shifted along the wrong axis": "shift_on_the_wrong_axis",
    "a row's maximum in the graph": "row_maximum_not_detached",
    "VICReg's variance halved": "variance_halved",
    "embeddings summed over processes, not gathered": "SummedForGathered",
    "square-square with a minus": "square_square_with_a_minus",
    "decoupled contrast as two log-sum-exps": "two_log_sum_exps",
    "a centered second moment": "second_moment_centered",
    "a queue that is filled before scoring": "EnqueuesBeforeScoring",
    "denoising score matching with the wrong sign": "denoising_with_the_wrong_sign",
    "a trace divided by the dimension": "trace_divided_by_the_dimension",
    "a replay buffer, first in first out": "FirstInFirstOut",
    "a replay buffer, read at random": "DrawsWithReplacement",
    "contrastive divergence from noise": "StartsFromNoise",
    "an energy of shape (n, 1)": "one_column",
    "NaN replaced by a number": "nan_replaced_by_a_number",
    "whitening with one view detached": "second_view_detached",
}
"""Bugs that were shipped, and the name under which each is seeded here."""


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
        told = {name: story for story, name in STORIES.items()}
        for name, law in CAUGHT.items():
            story = f" ({told[name]})" if name in told else ""
            terminal.write_line(f"  {name:<34} caught by: {law}{story}")
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
    assert set(STORIES.values()) <= {mutant.name for mutant in mutants.MUTANTS}
