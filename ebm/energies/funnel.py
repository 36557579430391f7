"""Neal's funnel."""

import math

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.target import Target
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation, LowerBound


class Funnel(Target):
    """E(x) = x_1^2 / (2 scale^2) + exp(-x_1) |rest|^2 / 2 + (dim - 1) x_1 / 2.

    x_1 is Gaussian and sets the log variance of all the others: a neck too narrow for the
    steps that the mouth needs. log Z = log(scale) + dim / 2 log(2 pi).

    Args:
        scale: Standard deviation of x_1.
        dim: Number of dimensions, at least 2.

    Reference: Neal, "Slice sampling", Annals of Statistics 31(3), 2003, section 8.
    """

    def __init__(self, *, scale: float = 1.5, dim: int = 2) -> None:
        checks.positive("scale", scale)
        variances = torch.full((checks.count("dim", dim, least=2),), math.exp(scale**2 / 2))
        variances[0] = scale**2
        log_normalizer = math.log(scale) + dim / 2 * math.log(2 * math.pi)
        super().__init__(torch.zeros(dim), variances.diag(), log_normalizer)
        self.scale = scale
        least = -((dim - 1) ** 2) * scale**2 / 8
        self.traits = (BatchPermutation(), LowerBound(least, attained=True))

    @property
    def minima(self) -> Tensor:
        """The lowest point, inside the neck, (1, dim)."""
        x = torch.zeros_like(self.mean)[None]
        x[0, 0] = -(self.dim - 1) * self.scale**2 / 2
        return x

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each point."""
        x = self.points(x)
        first, rest = x[:, 0], x[:, 1:].square().sum(-1)
        neck = (first / self.scale).square() + (-first).exp() * rest
        return (neck + (self.dim - 1) * first) / 2

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, dim)."""
        noise = self.noise(count, self.dim, generator=generator)
        first = self.scale * noise[:, :1]
        return torch.cat([first, (first / 2).exp() * noise[:, 1:]], dim=-1)
