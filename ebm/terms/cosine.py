"""Cosine: how far two directions are apart."""

from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.second_derivatives import through
from ebm.terms.unit import SMALLEST, unit_plain
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


def cosine(x: Tensor, y: Tensor) -> Energies:
    """Return the cosine of each pair of rows; the gradient is written out."""
    return _Cosine.apply(x, y)  # pyright: ignore[reportReturnType]


def cosine_plain(x: Tensor, y: Tensor) -> Energies:
    """Return `cosine` by the plain formula."""
    return (unit_plain(x) * unit_plain(y)).sum(-1)


class _Cosine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        norms = (torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (x, y))
        lengths = [norm.clamp_(min=SMALLEST) for norm in norms]
        values = (x * y).sum(-1, keepdim=True).div_(lengths[0]).div_(lengths[1])
        ctx.save_for_backward(x, y, values, *lengths)
        return values.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, values, *lengths = ctx.saved_tensors
        if torch.is_grad_enabled():
            return through(cosine_plain, (x, y), ctx.needs_input_grad, gradient)
        gradient = gradient.unsqueeze(-1)
        across = gradient / (lengths[0] * lengths[1])
        found: list[Tensor | None] = [None, None]
        for i, (own, other) in enumerate(((x, y), (y, x))):
            if ctx.needs_input_grad[i]:
                along = gradient * values / lengths[i].square()
                along.masked_fill_(lengths[i] <= SMALLEST, 0)
                found[i] = (other * across).addcmul_(own, along, value=-1)
        return tuple(found)


class Cosine(Energy):
    """E(x, y) = -cos(x, y), in [-1, 1]: the pair energy of the contrastive methods.

    As a loss it is the prediction term of SimSiam; BYOL's 2 - 2 cos is `Alignment`.
    Collapse attains its minimum, so its value cannot detect collapse.

    Reference: Chen & He, "Exploring simple Siamese representation learning", CVPR 2021,
    arXiv:2011.10566, eq. 1.
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
        LowerBound(-1.0, attained=True),
        UpperBound(1.0, attained=True),
        CollapseValue(-1.0),
        Not(PerViewRotation(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of each pair.

        Raises:
            ValueError: The views are no matrices of one shape.
        """
        checks.embeddings(x, y)
        return -cosine(x, y)
