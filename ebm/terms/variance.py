"""Variance: a hinge that keeps every dimension of an embedding alive."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Scalar
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.second_derivatives import through
from ebm.traits import (
    BatchPermutation,
    CollapseValue,
    DimensionPermutation,
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


def hinge(x: Tensor, std: float, eps: float) -> Scalar:
    """Return mean_j relu(std - sqrt(var_j + eps)); the gradient is written out."""
    return _Hinge.apply(x, std, eps)  # pyright: ignore[reportReturnType]


def hinge_plain(x: Tensor, std: float, eps: float) -> Scalar:
    """Return `hinge` by the plain formula."""
    return (std - (x.var(dim=0) + eps).sqrt()).relu().mean()


class _Hinge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, std: float, eps: float) -> Tensor:
        z = x - x.mean(dim=0)
        variance = z.square().sum(dim=0).div_(len(x) - 1)
        deviation = variance.add_(eps).sqrt_()
        missing = (std - deviation).relu_()
        ctx.save_for_backward(x, z, deviation, missing)
        ctx.numbers = std, eps
        return missing.mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        x, z, deviation, missing = ctx.saved_tensors
        if torch.is_grad_enabled():
            (to_x,) = through(lambda x: hinge_plain(x, *ctx.numbers), (x,), (True,), gradient)
            return to_x, None, None
        factor = gradient / (-(len(x) - 1) * x.shape[1])
        return z * ((missing > 0) * factor / deviation), None, None


class Variance(Energy):
    """V = mean over views of mean_j relu(std - sqrt(var_j + eps)), one number per batch.

    var_j is the unbiased variance of dimension j over the batch of all processes. The hinge
    is on the deviation: one on the variance would have a vanishing gradient near collapse.
    The mean over views is the convention of the authors' code (they halve the sum of two);
    `Variance.paper()` sums over the views. Any number of views; the traits speak of two.

    Reference: Bardes, Ponce & LeCun, "VICReg", ICLR 2022, arXiv:2105.04906, eqs. 1 and 2.

    Args:
        std: The deviation below which a dimension is pushed up.
        eps: Added to the variance inside the root.
        over_views: Reduces the values of the views.
    """

    reach = Reach.STATISTICS

    def __init__(
        self,
        *,
        std: float = 1.0,
        eps: float = 1e-4,
        over_views: Callable[..., Tensor] = torch.mean,
    ) -> None:
        super().__init__()
        self.std = checks.positive("std", std)
        self.eps = checks.positive("eps", eps)
        self.over_views = over_views

    @classmethod
    def paper(cls, *, std: float = 1.0, eps: float = 1e-4) -> "Variance":
        """Return the equation of the paper: summed over the views."""
        return cls(std=std, eps=eps, over_views=torch.sum)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of two views."""
        most = float(
            self.over_views(torch.full((2,), self.std - math.sqrt(self.eps), dtype=torch.float64))
        )
        return (
            Views(2),
            BatchPermutation(),
            ViewSwap(),
            SignFlip(),
            DimensionPermutation(),
            Translation(),
            PerViewTranslation(),
            PreventsCollapse(),
            LowerBound(0.0, attained=True),
            UpperBound(max(most, 0.0), attained=True),
            CollapseValue(max(most, 0.0)),
            Not(Rotation(), PAIR),
            Not(PerViewRotation(), PAIR),
            Not(PositiveScale(), PAIR),
            Not(PerViewAffine(), PAIR),
        )

    @full_precision
    def forward(self, x: Tensor, *others: Tensor) -> Scalar:
        """Return the hinge, reduced over dimensions and views.

        Raises:
            ValueError: The views are no matrices of one shape, or hold fewer than 2 rows.
        """
        if distributed.world() > 1:
            checks.embeddings(x, *others)
            variances = [distributed.var_mean(view)[0] for view in (x, *others)]
            hinges = [(self.std - (v + self.eps).sqrt()).relu().mean() for v in variances]
        else:
            checks.embeddings(x, *others, least=2, user="a variance")
            hinges = [hinge(view, self.std, self.eps) for view in (x, *others)]
        return self.over_views(torch.stack(hinges))

    def extra_repr(self) -> str:
        """Return the numbers and the normalization."""
        return f"std={self.std:g}, eps={self.eps:g}, over_views={self.over_views.__name__}"
