"""The double well."""

import math

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.target import Target
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation, LowerBound, SignFlip


class DoubleWell(Target):
    """E(x) = barrier ((x_1 / a)^2 - 1)^2 + (x_2^2 + x_3^2 + ...) / 2, a = separation / 2.

    With I the modified Bessel function, and h = barrier,

        Z = a pi / 2 exp(-h / 2) (I_{-1/4} + I_{1/4}) (2 pi)^{(dim - 1) / 2}
        E[x_1^2] = a^2 / 2 (1 + (I_{-3/4} + I_{3/4}) / (I_{-1/4} + I_{1/4})),    I at h / 2

    Args:
        barrier: Energy at the saddle between the wells.
        separation: Distance between the wells.
        dim: Number of dimensions.
    """

    traits = (BatchPermutation(), SignFlip(), LowerBound(0.0, attained=True))

    def __init__(self, *, barrier: float = 3.0, separation: float = 3.0, dim: int = 2) -> None:
        from scipy.special import ive  # pyright: ignore[reportMissingTypeStubs]

        half = checks.positive("barrier", barrier) / 2
        scale = checks.positive("separation", separation) / 2
        quarter = float(ive(-0.25, half) + ive(0.25, half))  # ive(nu, h) = exp(-h) I_nu(h)
        three_quarters = float(ive(-0.75, half) + ive(0.75, half))
        log_well = math.log(scale * math.pi / 2 * quarter)
        log_normalizer = log_well + (checks.count("dim", dim) - 1) / 2 * math.log(2 * math.pi)
        variances = torch.ones(dim)
        variances[0] = scale**2 * (1 + three_quarters / quarter) / 2
        super().__init__(torch.zeros(dim), variances.diag(), log_normalizer)
        self.barrier, self.separation = barrier, separation

    @property
    def minima(self) -> Tensor:
        """The bottoms of the wells, (2, dim)."""
        x = torch.zeros_like(self.mean).repeat(2, 1)
        x[:, 0] = torch.tensor([-self.separation / 2, self.separation / 2])
        return x

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each point, of any dimension."""
        x = x.flatten(1)
        well = self.barrier * ((2 * x[:, 0] / self.separation).square() - 1).square()
        return well + x[:, 1:].square().sum(-1) / 2

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, dim)."""
        x = self.noise(count, self.dim, generator=generator)
        x[:, 0] = self._wells(count, generator) * self.separation / 2
        return x

    def _wells(self, count: int, generator: torch.Generator | None) -> Tensor:
        # Rejection: (u^2 - 1)^2 >= (|u| - 1)^2, a Gaussian around either well.
        sign = 2 * (self.uniform(count, generator=generator) < 0.5) - 1
        u = torch.full_like(self.mean[:1], -1.0).repeat(count)
        while bool((waiting := u < 0).any()):
            trial = 1 + self.noise(count, generator=generator) / math.sqrt(2 * self.barrier)
            excess = (trial.square() - 1).square() - (trial - 1).square()
            lucky = self.uniform(count, generator=generator) < (-self.barrier * excess).exp()
            u = torch.where(waiting & lucky & (trial > 0), trial, u)
        return sign * u
