"""Four unlike Gaussians: a set without any symmetry, on which a sign error shows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, gaussians
from toy_data.gaussians import Point
from toy_data.point_set import Bounds, PointSet


@dataclass(frozen=True)
class UnevenGaussians(PointSet):
    """Gaussians of unlike weight, size and direction: mean, skew and covariance all differ.

    Component k has the mean `centers[k]` and the covariance F F^T, F = `factors[k]`.
    """

    centers: tuple[Point, ...] = ((-1.4, -0.6), (0.9, 1.2), (1.6, -1.4), (-1.2, 2.0))
    """Means, in units of the plane."""
    factors: tuple[tuple[Point, Point], ...] = (
        ((0.6, 0.0), (0.3, 0.35)),
        ((0.5, 0.0), (-0.45, 0.25)),
        ((0.3, 0.0), (0.0, 0.3)),
        ((0.45, 0.0), (0.1, 0.15)),
    )
    """Lower triangular factors of the covariances, rows first, in units of the plane."""
    shares: tuple[float, ...] = (0.45, 0.3, 0.15, 0.1)
    """Share of the points of each component; the shares add up to 1."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        counts = (len(self.centers), len(self.factors), len(self.shares))
        if len(set(counts)) != 1 or counts[0] == 0:
            raise ValueError(
                f"centers, factors and shares must be as many, got {counts}. Give one each."
            )
        for (top, zero), (_, bottom) in self.factors:
            checks.positive("factors", top)
            checks.positive("factors", bottom)
            if zero != 0:
                raise ValueError(
                    f"factors must be lower triangular, got {zero} above the diagonal. "
                    "Take torch.linalg.cholesky of the covariance."
                )
        for share in self.shares:
            checks.positive("shares", share)
        if abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(
                f"shares must add up to 1, got {sum(self.shares):g}. Divide them by their sum."
            )

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each Gaussian; its index is the label."""
        return self.shares

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        return gaussians.bounds(self.centers, self.factors)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        return gaussians.draw(labels, self.centers, self.factors, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        return gaussians.log_density(x, self.centers, self.factors, self.shares)


uneven_gaussians = UnevenGaussians()
