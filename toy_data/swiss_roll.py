"""The Swiss roll seen from its end: one long spiral, blurred."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, curve
from toy_data.point_set import Bounds, PointSet, normal, uniform


@dataclass(frozen=True)
class SwissRoll(PointSet):
    """One Archimedean spiral, from a third of its radius outward, plus Gaussian noise.

    The angle is uniform, as in scikit-learn's `make_swiss_roll` without its second
    coordinate. The log density is an integral along the spiral, exact to 1e-8 near it (see
    `toy_data.curve`).
    """

    noise: float = 0.12
    """Standard deviation of the noise in each coordinate, in units of the plane."""
    radius: float = 2.8
    """Distance of the outer end from the origin, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        checks.positive("radius", self.radius)

    @property
    def weights(self) -> tuple[float, ...]:
        """One component."""
        return (1.0,)

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        return curve.bounds(self._roll, self.noise)

    def _roll(self, t: Tensor) -> Tensor:
        share = (1 + 2 * t) / 3  # of the radius, and of the angle at the outer end
        angle = 4.5 * math.pi * share
        return self.radius * share[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(labels)
        return self._roll(uniform(n, generator)) + self.noise * normal(n, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        return curve.log_density(x, self._roll, noise=self.noise)


swiss_roll = SwissRoll()
