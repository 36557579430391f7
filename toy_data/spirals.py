"""Two intertwined spirals, blurred."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, curve
from toy_data.point_set import Bounds, PointSet, normal, uniform


@dataclass(frozen=True)
class Spirals(PointSet):
    """Two Archimedean spirals from the origin, half a turn apart, plus Gaussian noise.

    The distance from the origin is radius * sqrt(u), u uniform, so that points are about as
    dense along the whole spiral. The log density is an integral along the spirals, exact to
    1e-8 near them (see `toy_data.curve`).
    """

    noise: float = 0.12
    """Standard deviation of the noise in each coordinate, in units of the plane."""
    radius: float = 2.7
    """Distance of the outer ends from the origin, in units of the plane."""
    turns: float = 1.5
    """Turns of each spiral about the origin."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        checks.positive("radius", self.radius)
        checks.positive("turns", self.turns)

    @property
    def weights(self) -> tuple[float, ...]:
        """Half for each spiral."""
        return (0.5, 0.5)

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        (left, right), (low, high) = curve.bounds(self._spiral, self.noise)
        wide, high = max(-left, right), max(-low, high)
        return (-wide, wide), (-high, high)

    def _spiral(self, t: Tensor) -> Tensor:
        angle = 2 * math.pi * self.turns * t
        return self.radius * t[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(labels)
        first = self._spiral(uniform(n, generator).sqrt())
        return (1 - 2 * labels[:, None]) * first + self.noise * normal(n, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        first, second = (
            curve.log_density(side, self._spiral, noise=self.noise, weight=_weight)
            for side in (x, -x)
        )
        return torch.logaddexp(first, second) - math.log(2)


def _weight(t: Tensor) -> Tensor:
    """Return the density of the square root of a uniform number."""
    return 2 * t


spirals = Spirals()
