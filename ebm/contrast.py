"""The contrast that every likelihood gradient shares: down on data, up on negatives."""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm import checks, metrics
from ebm.energy import Energy, score

LIMIT = 1_000.0


def contrast(
    energy: Energy | Callable[[Tensor], Tensor],
    x: Tensor,
    negatives: Tensor,
    *,
    magnitude_weight: float = 0.0,
    gradient_weight: float = 0.0,
    temperature: float = 1.0,
) -> dict[str, Tensor]:
    """Return the terms "data", E(x), and "negatives", -E(x'), each (batch,).

    Samples of a stable chain lie at energies like the data's. Negatives that lie, on
    average, a thousand times (dim + 1) * temperature above the data (and at least a
    thousand) are no samples but an unstable chain, and would teach E to grow without bound:
    their term is then -inf, at which `fit` stops and says so.

    Two metrics go to the history of `fit`: "energy_gap", the mean of E(x) less that of
    E(x'), near zero where the chains follow the model, and "gradient_norm", the mean of
    |dE/dx| at the negatives, which says how far a step of Langevin dynamics leads.

    Args:
        energy: The energy to train, x -> (batch,).
        x: Data.
        negatives: Where to push up; no gradient flows into them.
        magnitude_weight: Weight of the term "magnitude", E(x)^2 + E(x')^2.
        gradient_weight: Weight of the term "gradient", |dE/dx|^2 at the data.
        temperature: The temperature of the negatives.

    Raises:
        ValueError: The energy does not return one number per example.
    """
    checks.own_reach(energy, "a contrast of examples")
    checks.configurations("x", x)
    negatives = negatives.detach().requires_grad_(metrics.watched())
    low = checks.one_per_example(energy(x), len(x))
    high = checks.one_per_example(energy(negatives), len(negatives))
    _note(low, high, negatives)
    limit = LIMIT * max(1.0, (x[0].numel() + 1) * temperature)
    blown_up = high.detach().mean() - low.detach().mean() > limit
    terms = {"data": low, "negatives": torch.where(blown_up, -torch.inf, -high)}
    if magnitude_weight:
        squares = low.square().mean() + high.square().mean()
        terms["magnitude"] = magnitude_weight * squares
    if gradient_weight:
        slope = score(energy, x, create_graph=True)
        terms["gradient"] = gradient_weight * slope.flatten(1).square().sum(-1)
    return terms


def _note(low: Tensor, high: Tensor, negatives: Tensor) -> None:
    metrics.note("energy_gap", low.mean() - high.mean())
    if metrics.watched() and high.requires_grad:
        # The graph is there already: this costs half a step of the sampler.
        (slope,) = torch.autograd.grad(
            high.sum(), negatives, retain_graph=True, materialize_grads=True
        )
        metrics.note("gradient_norm", slope.flatten(1).norm(dim=1).mean())
