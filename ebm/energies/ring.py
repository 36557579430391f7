"""The ring."""

import math

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.target import Target
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation, DimensionPermutation, LowerBound, Rotation, SignFlip


class Ring(Target):
    """E(x) = (|x| - radius)^2 / (2 width^2): a ring in the plane, a shell in space.

    Z is the surface of the unit sphere times M_{dim - 1}, where
    M_k = int_0^inf r^k exp(-(r - radius)^2 / (2 width^2)) dr obeys

        M_k = radius M_{k-1} + (k - 1) width^2 M_{k-2},
        M_0 = width sqrt(pi / 2) (1 + erf(radius / (sqrt(2) width))),
        M_1 = radius M_0 + width^2 exp(-radius^2 / (2 width^2))

    Args:
        radius: Distance of the valley from the origin.
        width: Standard deviation across the valley, about.
        dim: Number of dimensions.
    """

    traits = (
        BatchPermutation(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        LowerBound(0.0, attained=True),
    )

    def __init__(self, *, radius: float = 2.0, width: float = 0.25, dim: int = 2) -> None:
        checks.positive("radius", radius)
        moments = _radial_moments(radius, checks.positive("width", width), dim + 1)
        surface = 2 * math.pi ** (checks.count("dim", dim) / 2) / math.gamma(dim / 2)
        variance = moments[dim + 1] / moments[dim - 1] / dim
        log_normalizer = math.log(surface * moments[dim - 1])
        super().__init__(torch.zeros(dim), variance * torch.eye(dim), log_normalizer)
        self.radius, self.width = radius, width

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each point, of any dimension."""
        return (x.flatten(1).norm(dim=-1) - self.radius).square() / (2 * self.width**2)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, dim)."""
        direction = self.noise(count, self.dim, generator=generator)
        radius = self._radii(count, generator)
        return radius[:, None] * direction / direction.norm(dim=-1, keepdim=True)

    def _radii(self, count: int, generator: torch.Generator | None) -> Tensor:
        # Rejection: r^{dim-1} exp(-(r - radius)^2 / 2w^2) curves down at least as fast as
        # the Gaussian of width w around its mode does, so that one lies above it.
        power, width = self.dim - 1, self.width
        mode = (self.radius + math.sqrt(self.radius**2 + 4 * power * width**2)) / 2
        radii = torch.full_like(self.mean[:1], -1.0).repeat(count)
        while bool((waiting := radii < 0).any()):
            trial = mode + width * self.noise(count, generator=generator)
            slack = power * ((trial.clamp(min=0) / mode).log() - trial / mode + 1)
            lucky = self.uniform(count, generator=generator) < slack.exp()
            radii = torch.where(waiting & lucky & (trial > 0), trial, radii)
        return radii


def _radial_moments(radius: float, width: float, highest: int) -> list[float]:
    ratio = radius / width
    moments = [width * math.sqrt(math.pi / 2) * (1 + math.erf(ratio / math.sqrt(2)))]
    moments.append(radius * moments[0] + width**2 * math.exp(-(ratio**2) / 2))
    for k in range(2, highest + 1):
        moments.append(radius * moments[k - 1] + (k - 1) * width**2 * moments[k - 2])
    return moments
