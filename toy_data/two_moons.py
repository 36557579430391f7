"""Two interleaved half circles, blurred."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, curve
from toy_data.point_set import TAIL, Bounds, PointSet, normal, uniform


@dataclass(frozen=True)
class TwoMoons(PointSet):
    """Two half circles of one radius, each holding half of the points, plus Gaussian noise.

    The moons lie as in scikit-learn's `make_moons`, about the origin and `radius` times as
    large. The log density is an integral along the moons, exact to 1e-8 near them (see
    `toy_data.curve`).

    >>> import toy_data
    >>> toy_data.two_moons(10_000).shape
    torch.Size([10000, 2])
    """

    noise: float = 0.15
    """Standard deviation of the noise in each coordinate, in units of the plane."""
    radius: float = 1.6
    """Radius of both half circles, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        checks.positive("radius", self.radius)

    @property
    def weights(self) -> tuple[float, ...]:
        """The upper moon (label 0) and the lower one (label 1), half each."""
        return (0.5, 0.5)

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        margin = TAIL * self.noise
        wide, high = 1.5 * self.radius + margin, 0.75 * self.radius + margin
        return (-wide, wide), (-high, high)

    def _upper(self, t: Tensor) -> Tensor:
        x, y = torch.cos(math.pi * t) - 0.5, torch.sin(math.pi * t) - 0.25
        return self.radius * torch.stack([x, y], dim=1)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(labels)
        upper = self._upper(uniform(n, generator))  # the lower moon is the upper one turned
        side = 1 - 2 * labels[:, None]
        return side * upper + self.noise * normal(n, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        upper = curve.log_density(x, self._upper, noise=self.noise)
        lower = curve.log_density(-x, self._upper, noise=self.noise)
        return torch.logaddexp(upper, lower) - math.log(2)


two_moons = TwoMoons()
