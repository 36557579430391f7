"""Invariance: the squared distance of two embeddings."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.second_derivatives import through
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
    Rotation,
    SignFlip,
    Translation,
    Views,
    ViewSwap,
)


def squared_distance(x: Tensor, y: Tensor) -> Energies:
    """Return |x_i - y_i|^2 of each pair of rows; the gradient is written out."""
    return _SquaredDistance.apply(x, y)  # pyright: ignore[reportReturnType]


def squared_distance_plain(x: Tensor, y: Tensor) -> Energies:
    """Return `squared_distance` by the plain formula."""
    return (x - y).square().sum(dim=-1)


class _SquaredDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        difference = x - y
        ctx.save_for_backward(x, y, difference)
        return torch.linalg.vector_norm(difference, dim=-1).square_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, difference = ctx.saved_tensors
        if torch.is_grad_enabled():
            return through(squared_distance_plain, (x, y), ctx.needs_input_grad, gradient)
        to_x = difference * (2 * gradient)[:, None]
        return to_x, -to_x if ctx.needs_input_grad[1] else None


class Invariance(Energy):
    """E(x, y) = mean_j (x_j - y_j)^2, one number per pair.

    The mean over dimensions is the convention of the VICReg authors' code, where the
    weight 25 belongs to it; `Invariance.paper()` sums over them, as the equation does.

    Reference: Bardes, Ponce & LeCun, "VICReg", ICLR 2022, arXiv:2105.04906, eq. 5.

    Args:
        over_dims: Reduces the squared differences over the dimensions.
    """

    traits = (
        Views(2),
        BatchPermutation(),
        ViewSwap(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        Translation(),
        Homogeneous(2.0),
        LowerBound(0.0, attained=True),
        CollapseValue(0.0),
        Not(PerViewRotation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PositiveScale(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    def __init__(self, *, over_dims: Callable[..., Tensor] = torch.mean) -> None:
        super().__init__()
        self.over_dims = over_dims

    @classmethod
    def paper(cls) -> "Invariance":
        """Return the equation of the paper: summed over the dimensions."""
        return cls(over_dims=torch.sum)

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of each pair.

        Raises:
            ValueError: The views are no matrices of one shape.
        """
        checks.embeddings(x, y)
        if self.over_dims is torch.mean:
            return squared_distance(x, y) / x.shape[1]
        if self.over_dims is torch.sum:
            return squared_distance(x, y)
        return self.over_dims((x - y).square(), dim=-1)

    def extra_repr(self) -> str:
        """Return the normalization."""
        return f"over_dims={self.over_dims.__name__}"
