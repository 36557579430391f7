"""Whitening: embeddings are compared after each view has been whitened."""

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Embeddings, Scalar
from ebm.terms.counterexample import PLANE
from ebm.terms.precision import full_precision
from ebm.traits import (
    BatchPermutation,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    Not,
    PerViewAffine,
    PerViewRotation,
    PerViewTranslation,
    PositiveScale,
    PreventsCollapse,
    Random,
    Reach,
    Rotation,
    SignFlip,
    Trait,
    Translation,
    UpperBound,
    Views,
    ViewSwap,
)


def whiten(x: Embeddings, eps: float = 0.0) -> Embeddings:
    """Return the centered rows times the inverse Cholesky factor of their covariance.

    The covariance is unbiased, shrunk to (1 - eps) cov + eps I; at eps = 0 the result has
    covariance I.

    Raises:
        ValueError: The covariance is singular.
    """
    x = x - x.mean(dim=0)
    covariance = x.mT @ x / (len(x) - 1)
    if eps > 0:
        eye = torch.eye(len(covariance), dtype=x.dtype, device=x.device)
        covariance = (1 - eps) * covariance + eps * eye
    try:
        factor = torch.linalg.cholesky(covariance)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"embeddings must have a regular covariance, got a singular one from {len(x)} rows "
            f"in {x.shape[1]} dimensions. Use a larger batch, fewer dimensions or eps > 0."
        ) from error
    return torch.linalg.solve_triangular(factor, x.mT, upper=False).mT


class Whitening(Energy):
    """W = mean over pairs of views and rows of 2 - 2 cos(w_x, w_y), w whitened per view.

    Each sub-batch of `size` rows is whitened by the Cholesky factor of its own covariance,
    view by view, with the same random division into sub-batches for all views; gradients
    flow through the whitening of every view. Whitened embeddings cannot collapse. Any number
    of views; the traits speak of two and of one sub-batch.

    Reference: Ermolov, Siarohin, Sangineto & Sebe, "Whitening for self-supervised
    representation learning", ICML 2021, arXiv:2007.06346, eqs. 2 to 5.

    Args:
        size: Rows in a sub-batch, at least twice the dimensions; None is the whole batch.
        divisions: Random divisions into sub-batches that are averaged.
        eps: Shrinks the covariance toward the identity.
    """

    reach = Reach.STATISTICS

    def __init__(self, *, size: int | None = None, divisions: int = 1, eps: float = 0.0) -> None:
        super().__init__()
        self.size = size if size is None else checks.count("size", size, least=2)
        self.divisions = checks.count("divisions", divisions)
        self.eps = checks.fraction("eps", eps)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of two views. Invariance to scale needs eps = 0, which refuses collapse."""
        exact = (PerViewAffine(), Homogeneous(0.0))
        shrunk = (Not(PerViewAffine(), PLANE), Not(PreventsCollapse(), PLANE))
        return (
            Views(2),
            ViewSwap(),
            SignFlip(),
            Translation(),
            PerViewTranslation(),
            LowerBound(0.0, attained=True),
            UpperBound(4.0, attained=True),
            BatchPermutation() if self.size is None else Random(),
            *(exact if self.eps == 0 else shrunk),
            Not(Rotation(), PLANE),
            Not(PerViewRotation(), PLANE),
            Not(DimensionPermutation(), PLANE),
            Not(PositiveScale(), PLANE),
        )

    @full_precision
    def forward(self, x: Tensor, *others: Tensor) -> Scalar:
        """Return the mean distance of the whitened views.

        Raises:
            ValueError: The views are no matrices of one shape, there is one view alone, or a
                sub-batch is too small for its covariance.
        """
        views = [distributed.gather(view) for view in (x, *others)]
        if len(views) < 2:
            raise ValueError("views must be at least 2 for Whitening, got 1. Pass both views.")
        size = self.size or len(views[0])
        least = views[0].shape[-1] + 1 if self.eps == 0 else 2
        checks.embeddings(*views, least=max(size, least), user="whitening")
        if size < least:
            raise ValueError(
                f"size must be above the dimensions, {least - 1}, got size={size}. "
                "Use a larger size, a smaller projector or eps > 0."
            )
        distances = [
            self._distance([view[rows] for view in views])
            for _ in range(self.divisions)
            for rows in _division(len(views[0]), size, x.device)
        ]
        return torch.stack(distances).mean()

    def _distance(self, views: list[Tensor]) -> Tensor:
        units = [functional.normalize(whiten(view, self.eps), dim=-1) for view in views]
        pairs = itertools.combinations(units, 2)
        return torch.stack([(a - b).square().sum(-1).mean() for a, b in pairs]).mean()

    def extra_repr(self) -> str:
        """Return the numbers."""
        return f"size={self.size}, divisions={self.divisions}, eps={self.eps:g}"


def _division(n: int, size: int, device: torch.device) -> list[Tensor]:
    if size == n:
        return [torch.arange(n, device=device)]
    # The processes divide alike: the first one's order is everyone's.
    order = distributed.gather(torch.randperm(n, device=device))[:n]
    return [order[start : start + size] for start in range(0, n - size + 1, size)]
