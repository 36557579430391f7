"""The Gaussian energy."""

import math

import torch
from torch import Tensor

from ebm.energies.target import Numbers, Target, covariance_matrix, numbers
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation, LowerBound


class Gaussian(Target):
    """E(x) = (x - mean)^T covariance^-1 (x - mean) / 2.

    log Z = (dim log(2 pi) + log det covariance) / 2.

    Args:
        mean: The center, (dim,).
        covariance: A matrix, or a number that stands for that multiple of the identity.
    """

    traits = (BatchPermutation(), LowerBound(0.0, attained=True))
    whitening: Tensor
    factor: Tensor

    def __init__(self, mean: Numbers = (0.0, 0.0), covariance: float | Numbers = 1.0) -> None:
        mean = numbers(mean)
        matrix = covariance_matrix(covariance, len(mean)).to(mean.device)
        log_normalizer = (len(mean) * math.log(2 * math.pi) + float(matrix.logdet())) / 2
        super().__init__(mean, matrix.to(mean.dtype), log_normalizer)
        factor = torch.linalg.cholesky(matrix)
        self.register_buffer("factor", factor.to(mean.dtype), persistent=False)
        self.register_buffer("whitening", factor.inverse().to(mean.dtype), persistent=False)

    @property
    def minima(self) -> Tensor:
        """The mean, (1, dim)."""
        return self.mean[None]

    def forward(self, x: Configurations) -> Energies:
        """Return half the squared Mahalanobis distance of each point to the mean."""
        centered = self.points(x) - self.mean.to(x.dtype)
        return (centered @ self.whitening.to(x.dtype).mT).square().sum(-1) / 2

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, dim)."""
        return self.mean + self.noise(count, self.dim, generator=generator) @ self.factor.mT
