"""Laws of energies over configurations: one number per example, and a score."""

from typing import Any

import torch
from torch import Tensor

from ebm.energy import as_energy
from ebm.testing.law import Vacuous, Violation, close, law
from ebm.testing.laws.universal import draws_nothing
from ebm.testing.strategies import Case
from ebm.testing.subject import Refused, Subject
from ebm.traits import Reach, StopGradient

MODERATE = ("gaussian", "close", "duplicated")


def _own(subject: Subject) -> str | None:
    if not subject.each:
        return "it gives one number for the whole batch"
    if subject.reach is not None and subject.reach != Reach.OWN:
        return f"its reach is {subject.reach.name}"
    return draws_nothing(subject)


@law(
    applies=_own,
    kinds=MODERATE,
    conditions="one value per example, in the mode the module is in",
    share=0.5,
)
def batch_independence(subject: Subject, case: Case, claim: Any) -> None:
    """Each value depends on its own example alone: batched equals looped."""
    together = subject.values(case.arguments).detach()
    alone: list[Tensor] = []
    for i in range(case.n):
        single = [
            a[i : i + 1] if isinstance(a, Tensor) and a.ndim and len(a) == case.n else a
            for a in case.arguments
        ]
        try:
            alone.append(subject.values(single).detach().reshape(()))
        except (Refused, RuntimeError) as error:
            message = f"an example alone is refused: {str(error).splitlines()[0][:120]}"
            raise Violation(message, inputs=case.arguments) from error
    looped = torch.stack(alone)
    worst = int((together - looped).abs().argmax())
    message = (
        f"example {worst} has {float(together[worst]):.6g} in its batch and "
        f"{float(looped[worst]):.6g} alone. Batch norm, a mean over the batch, or negatives?"
    )
    close(subject, together, looped, subject.magnitude(case.arguments), message, case.arguments)


def _scored(subject: Subject) -> str | None:
    if StopGradient() in subject.traits:
        return "its gradient is cut on purpose (StopGradient)"
    reason = _own(subject)
    if reason is None and subject.dtype != torch.float64:
        return "it computes in float32, too coarse for finite differences"
    return reason


def _score(subject: Subject, x: Tensor, given: list[Any]) -> Tensor:
    energy = as_energy(lambda x: subject.values([x, *given]))
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(leaf).sum(), leaf, create_graph=True)
    return -gradient


NODES = 8


@law(
    applies=_scored,
    small=False,
    kinds=("gaussian",),
    share=0.4,
    scale="the energies at both ends and the integral of |score * direction|",
    conditions="smooth along the segment: skipped where 8 and 16 nodes disagree",
)
def score_is_the_gradient(subject: Subject, case: Case, claim: Any) -> None:
    """E(b) - E(a) is minus the integral of the score from a to b, whatever the path."""
    x, *given = case.arguments
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise Vacuous
    end = x + 0.3 * torch.randn(x.shape, generator=case.generator(), dtype=x.dtype)
    step = end - x
    results = []
    size = subject.typical
    for pieces in (1, 2):
        total = torch.zeros(case.n, dtype=torch.float64)
        for piece in range(pieces):
            for place, weight in zip(*_gauss(NODES), strict=True):
                here = x + (piece + place) / pieces * step
                slope = (_score(subject, here, given).detach() * step).reshape(case.n, -1)
                total -= weight / pieces * slope.sum(dim=1)
                size = max(size, float(slope.abs().sum(dim=1).max()))
        results.append(total)
    difference = subject.values([end, *given]).detach() - subject.values(case.arguments).detach()
    doubt = float((results[0] - results[1]).abs().max())
    if not doubt < 1e-4 * size:
        raise Vacuous
    error = float((results[1] - difference).abs().max())
    allowed = 1e-5 * size + 10 * doubt
    if error > allowed:
        message = "the score's integral along a segment is not the difference of the energies."
        raise Violation(message, error, allowed, [x, end, *given])


def _gauss(nodes: int) -> tuple[list[float], list[float]]:
    """Return Gauss-Legendre places and weights on [0, 1] (Golub-Welsch)."""
    k = torch.arange(1, nodes, dtype=torch.float64)
    off = k / (4 * k.square() - 1).sqrt()
    places, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return ((places + 1) / 2).tolist(), vectors[0].square().tolist()


@law(
    applies=_scored,
    small=False,
    kinds=("gaussian",),
    share=0.3,
    conditions="at most 64 numbers in an example; a second derivative exists",
    scale="the largest entry of the Jacobian of the score",
)
def curl_vanishes(subject: Subject, case: Case, claim: Any) -> None:
    """The Jacobian of the score is symmetric, so that an energy stands behind it."""
    x, *given = case.arguments
    if not isinstance(x, Tensor) or not x.is_floating_point() or x[0].numel() > 64:
        raise Vacuous
    leaf = x.detach().clone().requires_grad_()
    try:
        values = subject.values([leaf, *given])
        (gradient,) = torch.autograd.grad(values.sum(), leaf, create_graph=True)
        if not gradient.requires_grad:
            raise Vacuous
        flat = gradient.reshape(case.n, -1)
        rows = [
            torch.autograd.grad(flat[:, i].sum(), leaf, retain_graph=True, materialize_grads=True)[
                0
            ].reshape(case.n, -1)
            for i in range(flat.shape[1])
        ]
    except RuntimeError as error:
        raise Vacuous(f"no second derivative: {str(error)[:80]}") from error
    jacobian = torch.stack(rows, dim=1)
    scale = float(jacobian.abs().max())
    message = "the Jacobian of the score is not symmetric: part of the graph is detached."
    close(subject, jacobian, jacobian.transpose(1, 2), scale, message, case.arguments)


LAWS = (batch_independence, score_is_the_gradient, curl_vanishes)
