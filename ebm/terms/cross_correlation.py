"""Cross-correlation: two views agree in every dimension, and dimensions do not repeat."""

from typing import Any

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Scalar
from ebm.terms.counterexample import PAIR
from ebm.terms.covariance import squared
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
    Trait,
    Translation,
    UpperBound,
    Views,
    ViewSwap,
)


def squared_correlations(x: Tensor, y: Tensor, eps: float) -> tuple[Scalar, Scalar]:
    """Return sum_j (1 - C_jj)^2 and sum_{j != k} C_jk^2; the gradient is written out.

    With u and v the standardized views, the second goes through the smaller of two sides, as
    |u^T v|^2 = <u u^T, v v^T>.
    """
    return _SquaredCorrelations.apply(x, y, eps)  # pyright: ignore[reportReturnType]


def squared_correlations_plain(x: Tensor, y: Tensor, eps: float) -> tuple[Scalar, Scalar]:
    """Return `squared_correlations` by the plain formula, which holds the D x D matrix."""
    x, y = ((z - z.mean(0)) / (z.var(0, correction=0) + eps).sqrt() for z in (x, y))
    correlation = x.mT @ y / len(x)
    diagonal = correlation.diagonal()
    return (1 - diagonal).square().sum(), (correlation - diagonal.diag()).square().sum()


class _SquaredCorrelations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        if len(x) >= x.shape[1]:
            # Scaled after the product, where there is less to scale.
            spare = torch.empty_like(x)  # one for both: fresh memory takes longer than squares
            (u, of_x), (v, of_y) = _centered(x, eps, spare), _centered(y, eps, spare)
            correlation = (u.mT @ v).mul_((of_x / len(x)).unsqueeze(1)).mul_(of_y)
            products = (correlation,)
            diagonal = correlation.diagonal().clone()
            whole = squared(correlation)
        else:
            (u, of_x), (v, of_y) = _standardized(x, eps), _standardized(y, eps)
            products = ((u @ u.mT).div_(len(x)), (v @ v.mT).div_(len(x)))
            diagonal = (u * v).sum(dim=0).div_(len(x))
            whole = torch.dot(products[0].view(-1), products[1].view(-1))
        ctx.save_for_backward(x, y, u, v, of_x, of_y, diagonal, *products)
        ctx.eps = eps
        return squared(1 - diagonal), whole - squared(diagonal)

    @staticmethod
    def backward(
        ctx: Any, agreement: Tensor, redundancy: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        x, y, u, v, of_x, of_y, diagonal, first, *second = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = through(
                lambda x, y: squared_correlations_plain(x, y, ctx.eps),
                (x, y), ctx.needs_input_grad[:2], agreement, redundancy,
            )  # fmt: skip
            return plain[0], plain[1], None
        with in_full(x):
            agreement, redundancy = agreement * (2 / len(x)), redundancy * (2 / len(x))
            own = (diagonal - 1).mul_(agreement)
            if not second:
                slope = first * redundancy
                slope.diagonal().copy_(own)
                shares = slope * first
                slope.mul_(of_x.unsqueeze(1)).mul_(of_y)
                # A column's scale falls as the column grows.
                to_x = (v @ slope.mT).addcmul_(u, shares.sum(1).mul_(of_x.square()), value=-1)
                to_y = (u @ slope).addcmul_(v, shares.sum(0).mul_(of_y.square()), value=-1)
                return to_x, to_y, None
            own -= diagonal * redundancy
            to_u = _to_standardized(second[0] * redundancy, u, v, own)
            to_v = _to_standardized(first * redundancy, v, u, own)
            return to_u.mul_(of_x), to_v.mul_(of_y), None


def _centered(x: Tensor, eps: float, spare: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centered rows, and what standardizes their columns."""
    z = x - x.mean(dim=0)
    variance = torch.mul(z, z, out=spare).mean(dim=0)
    _refuse_constant(variance, eps)
    return z, variance.add_(eps).rsqrt_()


def _standardized(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the standardized rows, and what their columns were scaled by."""
    # Centered first: batch norm alone loses the digits of a large mean.
    z, _, scale = torch.native_batch_norm(x - x.mean(dim=0), None, None, None, None, True, 0.0, eps)
    _refuse_constant(scale, eps)
    return z, scale


def _refuse_constant(spread: Tensor, eps: float) -> None:
    if eps == 0 and bool((spread == 0).any()):
        raise ValueError(
            "eps must be positive where a dimension is constant over the batch, got eps=0. "
            "Pass eps=1e-5."
        )


def _to_standardized(gram: Tensor, own: Tensor, other: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient in a view before its columns were scaled."""
    gradient = (other * weights).addmm_(gram, own)
    # A column's scale falls as the column grows.
    return gradient.addcmul_(own, (gradient * own).mean(dim=0), value=-1)


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
        checks.embeddings(x, y, least=2 if distributed.world() == 1 else 1, user="a correlation")
        if products_are_fewer(x):
            agreement, redundancy = self._shared(x, y)
        else:
            x, y = distributed.gather(x), distributed.gather(y)
            agreement, redundancy = squared_correlations(x, y, self.eps)
        return {"agreement": agreement, "redundancy": self.off_diagonal_weight * redundancy}

    def _shared(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return both sums where processes exchange products of columns, not rows."""
        x, y = (self._standardized(view) for view in (x, y))
        diagonal = distributed.total((x * y).sum(dim=0))
        agreement = (1 - diagonal).square().sum()
        return agreement, shared_products(x, y) - diagonal.square().sum()

    def _standardized(self, x: Tensor) -> Tensor:
        variance, mean = distributed.var_mean(x, correction=0)
        _refuse_constant(variance, self.eps)
        count = len(x) * distributed.world()
        return (x - mean) * (variance + self.eps).rsqrt() / count**0.5

    def extra_repr(self) -> str:
        """Return the numbers."""
        return f"off_diagonal_weight={self.off_diagonal_weight:g}, eps={self.eps:g}"
