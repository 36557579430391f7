"""Cross-correlation: two views agree in every dimension, and dimensions do not repeat."""

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Scalar
from ebm.terms.counterexample import PAIR
from ebm.terms.covariance import squared_products
from ebm.terms.precision import full_precision
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


class CrossCorrelation(Energy):
    """L = sum_j (1 - C_jj)^2 + off_diagonal_weight * sum_{j != k} C_jk^2.

    C is the correlation of the views over the batch of all processes: each view is
    standardized by its own mean and its biased variance plus eps, and C = x^T y / N. This
    is the convention of the authors' code, without its factor `scale_loss`. The two parts
    are named `agreement` and `redundancy`.

    0 needs D <= N - 1; collapse costs exactly D.

    Reference: Zbontar, Jing, Misra, LeCun & Deny, "Barlow Twins", ICML 2021,
    arXiv:2103.03230, eqs. 1 and 2.

    Args:
        off_diagonal_weight: Weight of the redundancy, lambda in the paper.
        eps: Added to the variance; 0 makes the value exactly invariant to scale and refuses
            constant dimensions.
    """

    reach = Reach.STATISTICS

    def __init__(self, *, off_diagonal_weight: float = 0.0051, eps: float = 1e-5) -> None:
        super().__init__()
        self.off_diagonal_weight = checks.not_negative("off_diagonal_weight", off_diagonal_weight)
        self.eps = checks.not_negative("eps", eps)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of it; invariance to scale holds up to eps / variance."""
        weight = self.off_diagonal_weight

        def least(n: int, d: int) -> float:
            rank, low = max(n - 1, 1), min(weight, 1.0)
            return low * d * (d - rank) / (rank + low * (d - rank)) if d > rank else 0.0

        exact, damped = (Homogeneous(0.0),), (CollapseValue(lambda n, d: d),)
        return (
            Views(2),
            BatchPermutation(),
            ViewSwap(),
            SignFlip(),
            DimensionPermutation(),
            Translation(),
            PerViewTranslation(),
            PerViewAffine(),
            PreventsCollapse(),
            LowerBound(least, attained=self.eps == 0),
            UpperBound(lambda n, d: 4 * d + weight * d * (d - 1)),
            *(exact if self.eps == 0 else damped),
            Not(Rotation(), PAIR),
            Not(PerViewRotation(), PAIR),
            Not(PositiveScale(), PAIR),
        )

    def forward(self, x: Tensor, y: Tensor) -> Scalar:
        """Return the loss of the batch.

        Raises:
            ValueError: The views are no matrices of one shape, hold fewer than 2 rows, or a
                dimension is constant while eps is 0.
        """
        parts = self.parts(x, y)
        return parts["agreement"] + parts["redundancy"]

    @full_precision
    def parts(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the diagonal's part and the weighted rest."""
        x, y = self._standardized(x), self._standardized(y)
        checks.embeddings(x, y)
        diagonal = (x * y).sum(dim=0)
        off_diagonal = squared_products(x, y) - diagonal.square().sum()
        return {
            "agreement": (1 - diagonal).square().sum(),
            "redundancy": self.off_diagonal_weight * off_diagonal,
        }

    def _standardized(self, x: Tensor) -> Tensor:
        x = distributed.gather(x)
        checks.embeddings(x, least=2, user="a correlation")
        variance, mean = torch.var_mean(x, dim=0, correction=0)
        if self.eps == 0 and bool((variance == 0).any()):
            raise ValueError(
                "eps must be positive where a dimension is constant over the batch, got eps=0. "
                "Pass eps=1e-5."
            )
        return (x - mean) * (variance + self.eps).rsqrt() / len(x) ** 0.5

    def extra_repr(self) -> str:
        """Return the numbers."""
        return f"off_diagonal_weight={self.off_diagonal_weight:g}, eps={self.eps:g}"
