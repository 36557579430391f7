"""Twenty-five Gaussians on a square grid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, gaussians
from toy_data.point_set import Bounds, PointSet


@dataclass(frozen=True)
class TwentyFiveGaussians(PointSet):
    """Twenty-five equal, round Gaussians on a five by five grid about the origin."""

    noise: float = 0.12
    """Standard deviation of each Gaussian in each coordinate, in units of the plane."""
    spacing: float = 1.25
    """Distance of neighboring centers, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        checks.positive("spacing", self.spacing)

    @property
    def weights(self) -> tuple[float, ...]:
        """A twenty-fifth for each; labels count up the second coordinate first."""
        return (1 / 25,) * 25

    @property
    def centers(self) -> list[tuple[float, float]]:
        """The means of the Gaussians."""
        steps = [self.spacing * k for k in range(-2, 3)]
        return [(a, b) for a in steps for b in steps]

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        return gaussians.bounds(self.centers, gaussians.round_factors(self.noise, 25))

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        factors = gaussians.round_factors(self.noise, 25)
        return gaussians.draw(labels, self.centers, factors, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        factors = gaussians.round_factors(self.noise, 25)
        return gaussians.log_density(x, self.centers, factors, self.weights)


twenty_five_gaussians = TwentyFiveGaussians()
