"""The banana: a Gaussian bent along a parabola."""

import math

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.target import Target
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation, LowerBound


class Banana(Target):
    """E(x) = x_1^2 / (2 length^2) + (x_2 - curvature (x_1^2 - length^2))^2 / (2 width^2).

    The bend moves no volume, so log Z = log(2 pi length width).

    Args:
        curvature: How strongly the Gaussian is bent; its sign says which way.
        length: Standard deviation of x_1.
        width: Standard deviation of x_2 around the parabola.

    Reference: Haario, Saksman & Tamminen, "Adaptive proposal distribution for random walk
    Metropolis algorithm", Computational Statistics 14, 1999.
    """

    traits = (BatchPermutation(), LowerBound(0.0, attained=True))

    def __init__(self, *, curvature: float = 0.5, length: float = 1.5, width: float = 0.5) -> None:
        checks.positive("length", length)
        checks.positive("width", width)
        across = width**2 + 2 * curvature**2 * length**4
        log_normalizer = math.log(2 * math.pi * length * width)
        super().__init__((0.0, 0.0), ((length**2, 0.0), (0.0, across)), log_normalizer)
        self.curvature, self.length, self.width = curvature, length, width

    @property
    def minima(self) -> Tensor:
        """The bottom of the valley, (1, 2)."""
        return self.mean.new_tensor([[0.0, -self.curvature * self.length**2]])

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each point."""
        first, second = self.points(x).unbind(-1)
        across = (second - self._valley(first)) / self.width
        return ((first / self.length).square() + across.square()) / 2

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, 2)."""
        along, across = self.noise(2, count, generator=generator)
        first = self.length * along
        return torch.stack([first, self._valley(first) + self.width * across], dim=-1)

    def _valley(self, first: Tensor) -> Tensor:
        return self.curvature * (first.square() - self.length**2)
