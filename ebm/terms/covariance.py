"""Covariance: the price of dimensions that say the same."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Scalar
from ebm.terms.counterexample import PAIR
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
    Translation,
    Views,
    ViewSwap,
)


def squared_products(x: Tensor, y: Tensor) -> Scalar:
    """Return |x^T y|_F^2, the sum of the squared products of all pairs of columns.

    It goes through the smaller of two sides, as |x^T y|^2 = <x x^T, y y^T>: N^2 D or N D^2
    multiplications, and never more than min(N, D)^2 numbers beside the inputs.
    """
    return _SquaredProducts.apply(x, y)  # pyright: ignore[reportReturnType]


class _SquaredProducts(torch.autograd.Function):
    # The gram matrices are symmetric, which autograd does not know: it multiplies twice.
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        if len(x) >= x.shape[1]:
            products = (x.mT @ y,)
            value = products[0].square().sum()
        else:
            products = (x @ x.mT,) if x is y else (x @ x.mT, y @ y.mT)
            value = (products[0] * products[-1]).sum()
        ctx.save_for_backward(x, y, *products)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, y, first, *second = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            if len(x) >= x.shape[1]:
                return 2 * gradient * (y @ first.mT), 2 * gradient * (x @ first)
            last = second[0] if second else first
            to_x = 2 * gradient * (last @ x)
            return to_x, 2 * gradient * (first @ y) if second else to_x


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
        views = [distributed.gather(view) for view in (x, *others)]
        checks.embeddings(*views, least=2, user="a covariance")
        values = [self._off_diagonal(v) / self.entries(v.shape[1]) for v in views]
        return self.over_views(torch.stack(values))

    def _off_diagonal(self, x: Tensor) -> Scalar:
        x = (x - x.mean(dim=0)) / (len(x) - 1) ** 0.5
        return squared_products(x, x) - x.square().sum(dim=0).square().sum()

    def extra_repr(self) -> str:
        """Return the normalization."""
        divisor = "D (D - 1)" if self.entries is _off_diagonal_entries else "D"
        return f"over_views={self.over_views.__name__}, divided by {divisor}"


def _off_diagonal_entries(dim: int) -> int:
    return max(dim * (dim - 1), 1)
