"""Covariance: the price of dimensions that say the same."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Scalar
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision, in_full
from ebm.terms.second_derivatives import through
from ebm.terms.shared_products import products_are_fewer, shared_products
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
    Translation,
    Views,
    ViewSwap,
)


def off_diagonal(x: Tensor) -> Scalar:
    """Return the sum of the squared unbiased covariances of different columns of x.

    With z the centered rows, it goes through the smaller of two sides, as
    |z^T z|^2 = |z z^T|^2: N^2 D or N D^2 multiplications, and min(N, D)^2 numbers.
    """
    return _OffDiagonal.apply(x)  # pyright: ignore[reportReturnType]


def off_diagonal_plain(x: Tensor) -> Scalar:
    """Return `off_diagonal` by the plain formula, which holds the D x D matrix."""
    z = x - x.mean(dim=0)
    covariance = z.mT @ z / (len(x) - 1)
    return (covariance - covariance.diagonal().diag()).square().sum()


class _OffDiagonal(torch.autograd.Function):
    # The matrices are symmetric, which autograd does not know: it multiplies twice.
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        z = x - x.mean(dim=0)
        if len(x) >= x.shape[1]:
            matrix = (z.mT @ z).div_(len(x) - 1)
            diagonal = matrix.diagonal().clone()
            matrix.diagonal().zero_()
            value = squared(matrix)
        else:
            matrix = (z @ z.mT).div_(len(x) - 1)
            diagonal = z.square().sum(dim=0).div_(len(x) - 1)
            value = squared(matrix) - squared(diagonal)
        ctx.save_for_backward(x, z, matrix, diagonal)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor | None:
        x, z, matrix, diagonal = ctx.saved_tensors
        if torch.is_grad_enabled():
            return through(off_diagonal_plain, (x,), (True,), gradient)[0]
        factor = 4 * gradient / (len(x) - 1)
        with in_full(x):
            if len(x) >= x.shape[1]:
                return z @ (matrix * factor)
            return torch.mm(matrix * factor, z).addcmul_(z, diagonal * factor, value=-1)


def squared(matrix: Tensor) -> Scalar:
    """Return the sum of squares of a contiguous tensor, without a copy."""
    return torch.dot(matrix.view(-1), matrix.view(-1))


class Covariance(Energy):
    """C = sum over views of sum_{j != k} cov_jk^2 / D, one number per batch.

    cov is the unbiased covariance over the batch of all processes. This is the convention
    of the authors' code and of the paper. `Covariance.mean()` takes the mean over the
    D (D - 1) entries instead of dividing by D. Any number of views; the traits speak of two.

    Reference: Bardes, Ponce & LeCun, "VICReg", ICLR 2022, arXiv:2105.04906, eqs. 3 and 4.

    Args:
        over_views: Reduces the values of the views.
        entries: Number by which the sum is divided, as a function of D.
    """

    reach = Reach.STATISTICS
    traits = (
        Views(2),
        BatchPermutation(),
        ViewSwap(),
        SignFlip(),
        DimensionPermutation(),
        Translation(),
        PerViewTranslation(),
        Homogeneous(4.0),
        LowerBound(0.0, attained=True),
        CollapseValue(0.0),
        Not(Rotation(), PAIR),
        Not(PerViewRotation(), PAIR),
        Not(PositiveScale(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    def __init__(
        self,
        *,
        over_views: Callable[..., Tensor] = torch.sum,
        entries: Callable[[int], int] = int,
    ) -> None:
        super().__init__()
        self.over_views = over_views
        self.entries = entries

    @classmethod
    def mean(cls) -> "Covariance":
        """Return the mean over the off-diagonal entries, still summed over the views."""
        return cls(entries=_off_diagonal_entries)

    @full_precision
    def forward(self, x: Tensor, *others: Tensor) -> Scalar:
        """Return the sum of the squared covariances, normalized.

        Raises:
            ValueError: The views are no matrices of one shape, or hold fewer than 2 rows.
        """
        checks.embeddings(x, *others)
        values = [self._off_diagonal(v) / self.entries(v.shape[1]) for v in (x, *others)]
        return self.over_views(torch.stack(values))

    def _off_diagonal(self, x: Tensor) -> Scalar:
        if not products_are_fewer(x):
            x = distributed.gather(x)
            checks.embeddings(x, least=2, user="a covariance")
            return off_diagonal(x)
        variance, mean = distributed.var_mean(x)
        z = (x - mean) / (len(x) * distributed.world() - 1) ** 0.5
        return shared_products(z, z) - variance.square().sum()

    def extra_repr(self) -> str:
        """Return the normalization."""
        divisor = "D (D - 1)" if self.entries is _off_diagonal_entries else "D"
        return f"over_views={self.over_views.__name__}, divided by {divisor}"


def _off_diagonal_entries(dim: int) -> int:
    return max(dim * (dim - 1), 1)
