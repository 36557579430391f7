"""InfoNCE: the other view against negatives."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms import log_sum_exp, one_matrix
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.symmetric import Symmetric
from ebm.terms.unit import SMALLEST, unit
from ebm.traits import (
    BatchPermutation,
    CollapseValue,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    Not,
    PerViewAffine,
    PerViewRotation,
    PerViewTranslation,
    PositiveScale,
    PreventsCollapse,
    Reach,
    Rotation,
    SignFlip,
    Trait,
    Translation,
    UpperBound,
    Views,
    ViewSwap,
)

SMALL = 512
"""Pairs up to which all products are taken at once."""


class InfoNCE(Energy):
    """E_i = -s(x_i, y_i) / T + log(sum_j exp(s(x_i, y_j) / T)), s the cosine.

    The sum runs over the positive and the negatives. Without `negatives` those are the
    other y of the batch of all processes; a matrix `(m, dim)` is a queue that all examples
    share (MoCo), a tensor `(batch, m, dim)` holds the rows of each example's own negatives
    (a bank). Given negatives are taken as they are: gather or freeze them before.

    One direction, x against the y; `InfoNCE.clip()` averages both. The sum never holds the
    N x N matrix when N is large.

    Reference: van den Oord, Li & Vinyals, "Representation learning with contrastive
    predictive coding", 2018, arXiv:1807.03748, eq. 4; He et al., "Momentum contrast",
    CVPR 2020, arXiv:1911.05722, eq. 1.

    Args:
        temperature: Divides every similarity, the positive's too.
    """

    reach = Reach.NEGATIVES

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)

    @classmethod
    def clip(cls, *, temperature: float = 0.07) -> Symmetric:
        """Return the average of both directions, as CLIP takes it."""
        return Symmetric(cls(temperature=temperature))

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true with the batch as negatives."""
        t = self.temperature
        return (
            Views(2),
            BatchPermutation(),
            Rotation(),
            SignFlip(),
            DimensionPermutation(),
            PositiveScale(),
            Homogeneous(0.0),
            PreventsCollapse(),
            LowerBound(lambda n, d: lowest(n, n - 1, t), attained=True),
            UpperBound(lambda n, d: highest(n - 1, t)),
            CollapseValue(lambda n, d: math.log(n)),
            Not(ViewSwap(), PAIR),
            Not(PerViewRotation(), PAIR),
            Not(Translation(), PAIR),
            Not(PerViewTranslation(), PAIR),
            Not(PerViewAffine(), PAIR),
        )

    @full_precision
    def forward(self, x: Tensor, y: Tensor, negatives: Tensor | None = None) -> Energies:
        """Return the loss of each x.

        Raises:
            ValueError: The views are no matrices of one shape, the batch of all processes
                holds no other pair, or the negatives fit neither form.
        """
        alone = negatives is None and len(x) * distributed.world() < 2
        checks.embeddings(x, y, least=2 if alone else 1, user="negatives of the batch")
        largest = 1 / self.temperature
        if negatives is None and _small(x):
            return one_matrix.contrast(x, y, largest)
        x, y = unit(x, largest), unit(y)
        positive = (x * y).sum(-1)
        if negatives is None:
            return log_sum_exp.products(x, distributed.gather(y), largest=largest) - positive
        negatives = _fitting(negatives, x)
        if negatives.ndim == 2:
            others = log_sum_exp.products(x, unit(negatives), largest=largest)
        else:
            norms = torch.linalg.vector_norm(negatives, dim=-1).clamp(min=SMALLEST)
            others = torch.logsumexp((negatives @ x.unsqueeze(-1)).squeeze(-1) / norms, dim=1)
        return torch.logaddexp(positive, others) - positive

    @full_precision
    def both_ways(self, x: Tensor, y: Tensor) -> Energies:
        """Return the average of E(x, y) and E(y, x), whose sums share their products."""
        if distributed.world() > 1:
            return (self(x, y) + self(y, x)) / 2
        checks.embeddings(x, y, least=2, user="negatives of the batch")
        largest = 1 / self.temperature
        if _small(x):
            return one_matrix.contrast(x, y, largest, both=True)
        x, y = unit(x, largest), unit(y)
        of_x, of_y = log_sum_exp.both(x, y, largest)
        return (of_x + of_y) / 2 - (x * y).sum(-1)

    def extra_repr(self) -> str:
        """Return the temperature."""
        return f"temperature={self.temperature:g}"


def lowest(n: int, negatives: int, temperature: float) -> float:
    """Return the sharp lower bound of a mean contrastive loss, reached by a simplex."""
    if n < 2:
        return 0.0
    return math.log1p(negatives * math.exp(-n / ((n - 1) * temperature)))


def highest(negatives: int, temperature: float) -> float:
    """Return log(1 + negatives * exp(2 / temperature)): every negative at cosine 1."""
    if negatives == 0:
        return 0.0
    top = 2 / temperature + math.log(negatives)
    return top + math.log1p(math.exp(-top))


def _small(x: Tensor) -> bool:
    """Return whether all products fit into one small matrix."""
    return len(x) <= SMALL and distributed.world() == 1


def _fitting(negatives: Tensor, x: Tensor) -> Tensor:
    shape, (batch, dim) = tuple(negatives.shape), x.shape
    queue = negatives.ndim == 2 and shape[1] == dim
    bank = negatives.ndim == 3 and shape[0] == batch and shape[2] == dim
    if not (queue or bank) or negatives.shape[-2] == 0:
        raise ValueError(
            f"negatives must have shape (m, {dim}) or ({batch}, m, {dim}), got {shape}. "
            "Pass a queue that all examples share, or each example's own rows of a bank."
        )
    return negatives
