"""Arms of a pinwheel: stretched Gaussians, swirled about the origin."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks, gaussians
from toy_data.point_set import TAIL, Bounds, PointSet


@dataclass(frozen=True)
class Pinwheel(PointSet):
    """Gaussians stretched along evenly spaced rays, every circle then turned by its radius.

    A point at distance r from the origin is turned by rate * exp(r / radius). Turning
    circles keeps areas, so the density is that of the Gaussians at the point turned back.

    Reference: M. Johnson et al., "Composing graphical models with neural networks for
    structured representations and fast inference", NeurIPS 2016.
    Differs: theirs turns by the coordinate along the ray, which has no inverse in closed
    form; the two agree but for the width of an arm.
    """

    arms: int = 5
    """Number of arms; the index of an arm is its label."""
    radius: float = 1.4
    """Distance of an arm's center from the origin, in units of the plane."""
    radial_noise: float = 0.42
    """Standard deviation along an arm, in units of the plane."""
    tangential_noise: float = 0.14
    """Standard deviation across an arm, in units of the plane."""
    rate: float = 0.25
    """Strength of the swirl: the angle, in radians, by which the origin would turn."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.count("arms", self.arms)
        checks.positive("radius", self.radius)
        checks.positive("radial_noise", self.radial_noise)
        checks.positive("tangential_noise", self.tangential_noise)
        checks.finite("rate", self.rate)

    @property
    def weights(self) -> tuple[float, ...]:
        """The same share for every arm."""
        return (1 / self.arms,) * self.arms

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        far = self.radius + TAIL * self.radial_noise
        high = math.hypot(far, TAIL * self.tangential_noise)
        return (-high, high), (-high, high)

    def _swirled(self, x: Tensor, direction: int) -> Tensor:
        turn = direction * self.rate * (x.norm(dim=1) / self.radius).exp()
        return _turned(x, turn)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        factor = ((self.radial_noise, 0.0), (0.0, self.tangential_noise))
        along_ray = gaussians.draw(torch.zeros_like(labels), [self._center], [factor], generator)
        return self._swirled(_turned(along_ray, 2 * math.pi * labels / self.arms), 1)

    def _log_density(self, x: Tensor) -> Tensor:
        factor = ((self.radial_noise, 0.0), (0.0, self.tangential_noise))
        straight = self._swirled(x, -1)
        logs = []
        for k in range(self.arms):
            angle = torch.full_like(x[:, 0], -2 * math.pi * k / self.arms)
            along_ray = _turned(straight, angle)
            logs.append(gaussians.log_density(along_ray, [self._center], [factor], [1.0]))
        return torch.logsumexp(torch.stack(logs), dim=0) - math.log(self.arms)

    @property
    def _center(self) -> tuple[float, float]:
        return (self.radius, 0.0)


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """Return the points turned counterclockwise by one angle each, in radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], dim=1)


pinwheel = Pinwheel()
