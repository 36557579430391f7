"""Uniformity: how far embeddings are from covering the sphere."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Scalar
from ebm.terms import log_sum_exp
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.unit import unit
from ebm.traits import (
    BatchPermutation,
    CollapseValue,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    Not,
    PerViewAffine,
    PositiveScale,
    PreventsCollapse,
    Reach,
    Rotation,
    SignFlip,
    Trait,
    Translation,
    UpperBound,
    Views,
)


class Uniformity(Energy):
    """U = log mean_{i < j} exp(-sharpness |z_i - z_j|^2) on the sphere, one number per batch.

    In [-4 sharpness, 0]; 0 is collapse, and the minimum over n points is
    -2 sharpness n / (n - 1), a simplex. The pairs are those of the batch of all processes.

    Reference: Wang & Isola, "Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere", ICML 2020, arXiv:2005.10242, eq. 5.

    Args:
        sharpness: The precision of the Gaussian kernel, t in the paper.
    """

    reach = Reach.NEGATIVES

    def __init__(self, *, sharpness: float = 2.0) -> None:
        super().__init__()
        self.sharpness = checks.positive("sharpness", sharpness)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of one view."""
        t = self.sharpness
        return (
            Views(1),
            BatchPermutation(),
            Rotation(),
            SignFlip(),
            DimensionPermutation(),
            PositiveScale(),
            Homogeneous(0.0),
            PreventsCollapse(),
            LowerBound(lambda n, d: -2 * t * n / (n - 1) if n > 1 else -4 * t, attained=True),
            UpperBound(0.0, attained=True),
            CollapseValue(0.0),
            Not(Translation(), PAIR[:1]),
            Not(PerViewAffine(), PAIR[:1]),
        )

    @full_precision
    def forward(self, x: Tensor) -> Scalar:
        """Return the uniformity of the batch.

        Raises:
            ValueError: The embeddings are no matrix or hold fewer than 2 rows.
        """
        x = distributed.gather(x)
        checks.embeddings(x, least=2, user="uniformity")
        n, scale = len(x), 2 * self.sharpness
        rows = log_sum_exp.gram(unit(x, scale**0.5), scale)
        return torch.logsumexp(rows, dim=0) - scale - math.log(n * (n - 1))

    def extra_repr(self) -> str:
        """Return the sharpness."""
        return f"sharpness={self.sharpness:g}"
