"""Rosenbrock's valley."""

import math

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.target import Target
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation, LowerBound


class Rosenbrock(Target):
    """E(x) = (a - x_1)^2 + b (x_2 - x_1^2)^2: a narrow, bent valley.

    Z = pi / sqrt(b): x_1 is N(a, 1/2), and x_2 given x_1 is N(x_1^2, 1 / (2 b)).

    Args:
        a: Where along the valley the minimum lies, at (a, a^2).
        b: Steepness of the walls.

    Reference: Rosenbrock, "An automatic method for finding the greatest or least value of
    a function", The Computer Journal 3(3), 1960.
    """

    traits = (BatchPermutation(), LowerBound(0.0, attained=True))

    def __init__(self, *, a: float = 1.0, b: float = 100.0) -> None:
        log_normalizer = math.log(math.pi) - math.log(checks.positive("b", b)) / 2
        covariance = ((0.5, a), (a, 0.5 + 2 * a**2 + 0.5 / b))
        super().__init__((a, a**2 + 0.5), covariance, log_normalizer)
        self.a, self.b = a, b

    @property
    def minima(self) -> Tensor:
        """The only minimum, (a, a^2), as (1, 2)."""
        return self.mean.new_tensor([[self.a, self.a**2]])

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each point."""
        first, second = self.points(x).unbind(-1)
        return (self.a - first).square() + self.b * (second - first.square()).square()

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, 2)."""
        along, across = self.noise(2, count, generator=generator)
        first = self.a + along * math.sqrt(0.5)
        return torch.stack([first, first.square() + across * math.sqrt(0.5 / self.b)], dim=-1)
