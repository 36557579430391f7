"""Transformation covariance: embeddings avoid the directions used already."""

from typing import Any

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Energies, Matrix
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision, in_full
from ebm.terms.second_derivatives import through
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
    Translation,
    UpperBound,
    Views,
)


def along_moment(x: Tensor, everyone: Tensor, previous: Tensor | None, share: float) -> Energies:
    """Return x_i^T M x_i; the gradient is written out.

    M = share * Y^T Y / N of everyone's rows, plus (1 - share) * previous if there is one. The
    first part goes through the smaller of two sides, as x_i^T Y^T Y x_i = |Y x_i|^2.
    """
    if previous is not None and previous.requires_grad:
        return along_moment_plain(x, everyone, previous, share)
    others = None if everyone is x else everyone  # one gradient, where it is one tensor
    return _AlongMoment.apply(x, others, previous, share)  # pyright: ignore[reportReturnType]


def along_moment_plain(
    x: Tensor, everyone: Tensor, previous: Tensor | None, share: float
) -> Energies:
    """Return `along_moment` by the plain formula, which holds the D x D matrix."""
    moment = share * (everyone.mT @ everyone) / len(everyone)
    if previous is not None:
        moment = moment + (1 - share) * previous
    return ((x @ moment) * x).sum(-1)


class _AlongMoment(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, others: Tensor | None, previous: Tensor | None, share: float
    ) -> Tensor:
        y = x if others is None else others
        # Only the symmetric part counts along x, and it is its own transpose in the gradient.
        before = None if previous is None else previous + previous.mT
        products = turned = None
        if len(y) >= x.shape[1]:
            old, beta = (x.new_empty(()), 0) if before is None else (before, (1 - share) / 2)
            turned = x @ torch.addmm(old, y.mT, y, beta=beta, alpha=share / len(y))
            values = (turned * x).sum(-1)
        else:
            products = x @ y.mT
            values = products.square().sum(-1).mul_(share / len(y))
            if before is not None:
                turned = x @ before.mul_((1 - share) / 2)
                values += (turned * x).sum(-1)
        ctx.save_for_backward(x, others, previous, products, turned)
        ctx.share = share
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, others, previous, products, turned = ctx.saved_tensors
        if torch.is_grad_enabled():
            given = (x,) if others is None else (x, others)
            plain = through(
                lambda x, y=None: along_moment_plain(x, x if y is None else y, previous, ctx.share),
                given, ctx.needs_input_grad[: len(given)], gradient,
            )  # fmt: skip
            return *plain, *[None] * (4 - len(plain))
        gradient = gradient.unsqueeze(1)
        y = x if others is None else others
        weights = gradient * (2 * ctx.share / len(y))
        with in_full(x):
            if products is None:
                to_x, a, b = turned * (2 * gradient), y, x.mT @ (x * weights)
            else:
                weighted = products * weights
                to_x, a, b = weighted @ y, weighted.mT, x
                if turned is not None:
                    to_x.addcmul_(turned, gradient, value=2)
            if others is None:
                return to_x.addmm_(a, b), None, None, None
            return to_x, a @ b, None, None


class TransformationCovariance(Energy):
    """E_i = x_i^T C x_i for unit vectors, with C their running second moment.

        C = momentum * previous + (1 - momentum) * X^T X / N

    over the batch of all processes, or C = X^T X / N without a `previous`. The moment is not
    centered: centered, collapse would be the minimum. The gradient flows through the current
    batch's share of C as well.

    Reference: Zhu et al., "TiCo: transformation invariance and covariance contrast for
    self-supervised visual representation learning", 2022, arXiv:2206.10698, eqs. 5 and 6.

    Args:
        momentum: Share of the previous moment, beta in the paper.
    """

    reach = Reach.STATISTICS
    traits = (
        Views(1),
        BatchPermutation(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        PositiveScale(),
        Homogeneous(0.0),
        PreventsCollapse(),
        LowerBound(lambda n, d: 1 / min(n, d), attained=True),
        UpperBound(1.0, attained=True),
        CollapseValue(1.0),
        Not(Translation(), PAIR[:1]),
        Not(PerViewAffine(), PAIR[:1]),
    )

    def __init__(self, *, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = checks.fraction("momentum", momentum)

    @full_precision
    def forward(self, x: Tensor, previous: Tensor | None = None) -> Energies:
        """Return the second moment along each embedding.

        Raises:
            ValueError: The embeddings are no matrix.
        """
        checks.embeddings(x)
        x = unit(x)
        share = 1.0 if previous is None else 1 - self.momentum
        return along_moment(x, distributed.gather(x), previous, share)

    @full_precision
    def moment(self, x: Tensor) -> Matrix:
        """Return the second moment of the unit vectors of all processes: what to average."""
        x = unit(distributed.gather(x))
        return x.mT @ x / len(x)

    def extra_repr(self) -> str:
        """Return the momentum."""
        return f"momentum={self.momentum:g}"
