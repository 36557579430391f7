"""The collapse monitor: says in words whether embeddings have collapsed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, Sum
from ebm.evaluation.spectrum import rank_me
from ebm.evaluation.sphere import mean_cosine, sphere_deviation
from ebm.traits import CollapseValue, UndecidedValue, evaluate, find

NEAR = 0.02
"""How near to its collapse value a term is at it, in units of that value or of 1."""


@dataclass(frozen=True)
class Collapse:
    """What a batch of embeddings says about collapse; `str()` says it in words."""

    deviation: float
    """Mean deviation of z / |z| times sqrt(dim): about 1 when all is well, 0 at collapse."""
    rank: float
    """Effective rank (RankMe) of the embeddings."""
    dim: int
    """Dimension of the embeddings."""
    cosine: float
    """Mean cosine of two different embeddings: 1 at collapse."""
    terms: dict[str, tuple[float, float]]
    """The value of each term and what it would be at collapse, unweighted."""

    @property
    def complete(self) -> bool:
        """Whether all embeddings point the same way."""
        return self.deviation < 0.05 or self.cosine > 0.995

    @property
    def dimensional(self) -> bool:
        """Whether the embeddings use a small share of their dimensions."""
        return not self.complete and self.dim >= 8 and self.rank < 0.1 * self.dim

    @property
    def stuck(self) -> list[str]:
        """The terms that stand at their collapse value."""
        return [
            name
            for name, (value, collapsed) in self.terms.items()
            if abs(value - collapsed) <= NEAR * max(1.0, abs(collapsed))
        ]

    def __str__(self) -> str:
        """Return one sentence on the embeddings and one on each term with a collapse value."""
        numbers = (
            f"mean cosine {self.cosine:.3f}, deviation {self.deviation:.3f} of 1, "
            f"effective rank {self.rank:.1f} of {self.dim}"
        )
        if self.complete:
            first = f"Training has collapsed: all embeddings point the same way ({numbers})."
        elif self.dimensional:
            first = f"Training has collapsed onto a few dimensions ({numbers})."
        else:
            first = f"No collapse ({numbers})."
        words = [
            f"{name} = {value:.4g} stands at its collapse value {collapsed:.4g}."
            if name in self.stuck
            else f"{name} = {value:.4g}; at collapse it would be {collapsed:.4g}."
            for name, (value, collapsed) in self.terms.items()
        ]
        return " ".join([first, *words])


@torch.no_grad()
def collapse(objective: Energy | None, x: Tensor, *others: Tensor) -> Collapse:
    """Return how near embeddings are to collapse, and each term to its collapse value.

    For losses of scores, such as DINO's and SwAV's, that is the value of undecided outputs.

    Args:
        objective: The energy of the embeddings that is minimized, or None. The parts of a
            sum are compared one by one, unweighted.
        x: Embeddings of the first view, (n, dim), or its scores where the loss takes those.
        others: The same of the other views.

    Raises:
        ValueError: The embeddings are no matrices of one shape with 2 rows or more.
    """
    checks.embeddings(x, *others, least=2, user="a look at collapse")
    n, dim = x.shape
    parts = objective.summands if isinstance(objective, Sum) else [(1.0, objective)]
    compared: dict[str, tuple[float, float]] = {}
    for _, term in parts:
        if term is None:
            continue
        stated = find(term.traits, CollapseValue) or find(term.traits, UndecidedValue)
        if stated is not None:
            value = float(term(x, *others).mean())
            compared[term.name] = (value, evaluate(stated.value, n, dim))
    return Collapse(sphere_deviation(x), rank_me(x), dim, mean_cosine(x), compared)
