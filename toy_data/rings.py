"""Concentric circles, blurred."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks
from toy_data.point_set import TAIL, Bounds, PointSet, normal, uniform


@dataclass(frozen=True)
class Rings(PointSet):
    """Circles about the origin, each holding the same share of points, plus Gaussian noise.

    A circle of radius R blurred by isotropic noise has the closed form, r = |x|,

        p(x) = exp(-(r - R)^2 / (2 noise^2)) e^(-z) I_0(z) / (2 pi noise^2),  z = r R / noise^2

    with the modified Bessel function I_0.
    """

    radii: tuple[float, ...] = (0.8, 1.7, 2.6)
    """Radii of the circles, in units of the plane; the index of a radius is its label."""
    noise: float = 0.1
    """Standard deviation of the noise in each coordinate, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        if not self.radii:
            raise ValueError("radii must hold at least one radius, got (). Pass radii=(1.0,).")
        for radius in self.radii:
            checks.positive("radii", radius)

    @property
    def weights(self) -> tuple[float, ...]:
        """The same share for every circle."""
        return (1 / len(self.radii),) * len(self.radii)

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        high = max(self.radii) + TAIL * self.noise
        return (-high, high), (-high, high)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(labels)
        angle = 2 * math.pi * uniform(n, generator)
        radius = torch.tensor(self.radii, dtype=torch.float64, device=labels.device)[labels]
        on_circle = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
        return on_circle + self.noise * normal(n, generator)

    def _log_density(self, x: Tensor) -> Tensor:
        r = x.norm(dim=1)[:, None]
        radii = torch.tensor(self.radii, dtype=x.dtype, device=x.device)
        variance = self.noise**2
        logs = torch.special.i0e(r * radii / variance).log() - (r - radii).square() / (2 * variance)
        return torch.logsumexp(logs, dim=1) - math.log(2 * math.pi * variance * len(self.radii))


rings = Rings()
