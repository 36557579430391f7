"""Alignment: the squared distance of two embeddings on the sphere."""

from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Embeddings, Energies
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.second_derivatives import through
from ebm.terms.unit import back, brought, unit_plain
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
    UpperBound,
    Views,
    ViewSwap,
)


class Alignment(Energy):
    """E(x, y) = |x / |x| - y / |y||^2 = 2 - 2 cos(x, y), in [0, 4].

    The prediction loss of BYOL, and with `Uniformity` a loss of its own.

    Reference: Wang & Isola, "Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere", ICML 2020, arXiv:2005.10242, eq. 4 at
    alpha = 2; Grill et al., "Bootstrap your own latent", NeurIPS 2020, eq. 2.
    """

    traits = (
        Views(2),
        BatchPermutation(),
        ViewSwap(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        PositiveScale(),
        Homogeneous(0.0),
        LowerBound(0.0, attained=True),
        UpperBound(4.0, attained=True),
        CollapseValue(0.0),
        Not(PerViewRotation(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of each pair on the sphere.

        Raises:
            ValueError: The views are no matrices of one shape.
        """
        checks.embeddings(x, y)
        return distance(x, y)


def distance(x: Embeddings, y: Embeddings) -> Energies:
    """Return the squared distance of each pair on the sphere; the gradient is written out."""
    return _Distance.apply(x, y)  # pyright: ignore[reportReturnType]


def distance_plain(x: Embeddings, y: Embeddings) -> Energies:
    """Return `distance` by the plain formula."""
    return (unit_plain(x) - unit_plain(y)).square().sum(-1)


class _Distance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        (a, of_x), (b, of_y) = brought(x, 1.0), brought(y, 1.0)
        apart = a - b
        ctx.save_for_backward(x, y, a, b, of_x, of_y, apart)
        return apart.square().sum(-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, a, b, of_x, of_y, apart = ctx.saved_tensors
        if torch.is_grad_enabled():
            return through(distance_plain, (x, y), ctx.needs_input_grad, gradient)
        slope = apart * (2 * gradient)[:, None]
        to_x = back(slope, a, of_x, 1.0) if ctx.needs_input_grad[0] else None
        to_y = back(-slope, b, of_y, 1.0) if ctx.needs_input_grad[1] else None
        return to_x, to_y
