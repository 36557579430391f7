"""Laws of clustering: balanced assignments, and passes that never climb."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm.testing.inputs import View
from ebm.testing.law import Violation, law
from ebm.testing.strategies import Case
from ebm.traits import Trait

EPS = torch.finfo(torch.float64).eps


class Assigning:
    """Soft assignments that use every cluster alike, under test.

    Args:
        assign: Scores (n, clusters) -> codes (n, clusters), after many iterations.
        name: How reports call it.
    """

    def __init__(self, assign: Callable[[Tensor], Tensor], name: str = "assignment") -> None:
        self.assign, self.name = assign, name
        self.inputs = (View(),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()


BATCHES = ("gaussian", "close", "rank_one", "huge", "tiny", "collapsed")


@law(
    small=False,
    kinds=BATCHES,
    least=4,
    every_kind=True,
    scale="1",
    conditions="scores of any size; clusters cannot be emptier than the batch allows",
)
def examples_are_shared_out(rule: Any, case: Case, claim: Any) -> None:
    """Codes are finite and not negative, and those of an example sum to one."""
    scores = case.matrices[0]
    codes = rule.assign(scores.requires_grad_())
    if codes.requires_grad:
        raise Violation("codes carry a gradient. A target is assigned under no_grad.")
    scores = scores.detach()
    if not bool(codes.isfinite().all()) or float(codes.min()) < 0:
        raise Violation(
            "codes are not finite or negative. Shift scores before exp.", inputs=[scores]
        )
    error = float((codes.sum(dim=1) - 1).abs().max())
    if error > 1e3 * EPS:
        raise Violation("the codes of an example do not sum to one.", error, 1e3 * EPS, [scores])


@law(
    small=False,
    kinds=("gaussian", "close", "collapsed"),
    least=6,
    scale="the mass of a cluster, n / clusters; 5% of it, for the last of the iterations",
    conditions="scores of size 1",
)
def clusters_are_used_alike(rule: Any, case: Case, claim: Any) -> None:
    """Every cluster gets the same mass: assigning all to one is no solution."""
    scores = case.matrices[0] / case.matrices[0].abs().max()
    mass = rule.assign(scores).sum(dim=0)
    share = len(scores) / scores.shape[1]
    error = float((mass - share).abs().max())
    if not error <= 0.05 * share:
        message = f"the clusters hold {[round(v, 3) for v in mass.tolist()[:8]]}, not {share:.4g}."
        raise Violation(message, error, 0.05 * share, [scores])


@law(small=False, kinds=("gaussian", "close"), least=6, scale="1; 1e-6, for the iterations")
def popularity_is_removed(rule: Any, case: Case, claim: Any) -> None:
    """One number added to all scores of a cluster changes no code."""
    scores = case.matrices[0] / case.matrices[0].abs().max()
    offset = torch.randn(scores.shape[1], generator=case.generator(), dtype=scores.dtype)
    error = float((rule.assign(scores + offset) - rule.assign(scores)).abs().max())
    if not error <= 1e-6:
        raise Violation("a cluster that all examples like gets more.", error, 1e-6, [scores])


class Passing:
    """A pass over the data that refines parameters, under test.

    Args:
        energy: (x, state) -> (n,), what a pass lowers in the mean.
        step: (x, state) -> state: one pass.
        start: x -> state, for instance centers drawn from the data.
        name: How reports call it.
    """

    def __init__(
        self,
        energy: Callable[..., Tensor],
        step: Callable[..., Any],
        start: Callable[[Tensor], Any],
        name: str = "pass",
    ) -> None:
        self.energy, self.step, self.start, self.name = energy, step, start, name
        self.inputs = (View(2),)
        self.least = 12
        self.traits: tuple[Trait, ...] = ()


def _data(case: Case) -> Tensor:
    """Return four groups of points, some larger, away from the origin."""
    generator = case.generator()
    centers = 3 * torch.randn(4, 2, generator=generator, dtype=torch.float64) + 5
    groups = (torch.rand(60, generator=generator) ** 2 * 4).long()
    noise = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    return centers[groups] + (0.3 + 0.4 * groups[:, None]) * noise


@law(
    small=False,
    kinds=("gaussian",),
    scale="the mean energy; 1e-9 of it",
    conditions="60 points of four groups, 12 passes",
)
def passes_never_climb(rule: Any, case: Case, claim: Any) -> None:
    """A pass over the data never raises the mean energy."""
    x = _data(case)
    state = rule.start(x)
    before = float(rule.energy(x, state).mean())
    for k in range(12):
        state = rule.step(x, state)
        after = float(rule.energy(x, state).mean())
        allowed = 1e-9 * (abs(before) + 1)
        if not after - before <= allowed:
            message = f"pass {k + 1} takes the mean energy from {before:.6g} to {after:.6g}."
            raise Violation(message, after - before, allowed)
        before = after


@law(
    small=False,
    kinds=("gaussian",),
    scale="the mean energy; 1e-6 of it",
    conditions="60 points of four groups, 12 passes from starts drawn from the data",
)
def passes_move_with_the_data(rule: Any, case: Case, claim: Any) -> None:
    """Data that are moved and turned end with the energies of the data where they were."""
    x = _data(case)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=x.dtype)
    ends = []
    for data in (x, x @ turn.T + 7.0):
        state = rule.start(data)
        for _ in range(12):
            state = rule.step(data, state)
        ends.append(rule.energy(data, state))
    error = float((ends[0] - ends[1]).abs().max())
    allowed = 1e-6 * (1 + float(ends[0].abs().max()))
    if not error <= allowed:
        raise Violation("what the passes find depends on where the data are.", error, allowed)


ASSIGNMENT = (examples_are_shared_out, clusters_are_used_alike, popularity_is_removed)
PASSES = (passes_never_climb, passes_move_with_the_data)
LAWS = (*ASSIGNMENT, *PASSES)
