"""Eight Gaussians on a circle."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, gaussians
from toy_data.point_set import Bounds, PointSet


@dataclass(frozen=True)
class EightGaussians(PointSet):
    """Eight equal, round Gaussians, evenly spaced on a circle about the origin."""

    noise: float = 0.25
    """Standard deviation of each Gaussian in each coordinate, in units of the plane."""
    radius: float = 2.2
    """Radius of the circle of the centers, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        checks.positive("radius", self.radius)

    @property
    def weights(self) -> tuple[float, ...]:
        """An eighth for each; labels count the centers counterclockwise from (radius, 0)."""
        return (1 / 8,) * 8

    @property
    def centers(self) -> list[tuple[float, float]]:
        """The means of the Gaussians."""
        angles = [math.pi * k / 4 for k in range(8)]
        return [(self.radius * math.cos(a), self.radius * math.sin(a)) for a in angles]

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        return gaussians.bounds(self.centers, gaussians.round_factors(self.noise, 8))

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        factors = gaussians.round_factors(self.noise, 8)
        return gaussians.draw(labels, self.centers, factors, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        factors = gaussians.round_factors(self.noise, 8)
        return gaussians.log_density(x, self.centers, factors, self.weights)


eight_gaussians = EightGaussians()
