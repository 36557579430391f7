"""Probabilistic principal component analysis.

PCA as a density: the latent has a Gaussian prior and the rest of the space Gaussian noise.
The energy is a quadratic bowl, shallow along a few directions and steep along all others,
and it is normalized: exp(-F) integrates to 1.

    E(x, z) = |x - mean - W z|^2 / (2 noise) + |z|^2 / 2 + const
    F(x) = -log N(x; mean, W W^T + noise I)        L = mean F

The maximum of the likelihood is known: noise is the mean of the discarded eigenvalues, and
W = U (variances - noise)^(1/2).

Reference: Tipping & Bishop, "Probabilistic principal component analysis", Journal of the
Royal Statistical Society B 61(3), 1999, equations 7 and 8.
Differs: in nothing; W is kept up to its free rotation, as axes and variances.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import Method, checks
from ebm.latent.moments import moments
from ebm.memory import late_buffer
from ebm.shapes import Codes, Energies


class ProbabilisticPCA(Method):
    """A Gaussian whose covariance is a few directions and equal noise on all others.

    It has no trainable parameters: `fit` needs one pass over the data, and makes a second
    one to see that it changes nothing.

    Args:
        components: Directions with a variance of their own.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    noise: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.components = checks.count("components", components)
        for name in ("mean", "axes", "variances", "noise"):
            late_buffer(self, name)

    @classmethod
    def example(cls, data: Tensor, *, components: int | None = None) -> "ProbabilisticPCA":
        """Return a small instance for data of any shape."""
        if components is None:
            components = max(1, min(16, data[0].numel() // 2))
        return cls(components)

    def encode(self, x: Tensor) -> Codes:
        """Return the mean of the posterior of z."""
        z = self._centered(x) @ self.axes.T
        return z * (self.variances - self.noise).clamp(min=0).sqrt() / self.variances

    def energy(self, x: Tensor) -> Energies:
        """Return -log N(x; mean, W W^T + noise I)."""
        centered = self._centered(x)
        z = centered @ self.axes.T
        rest = (centered - z @ self.axes).square().sum(-1) / self.noise
        dim = centered.shape[1]
        constant = dim * math.log(2 * math.pi) + self.variances.log().sum()
        constant = constant + (dim - self.components) * self.noise.log()
        return ((z.square() / self.variances).sum(-1) + rest + constant) / 2

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"negative_log_likelihood": self.energy(x)}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """Maximize the likelihood in one pass; return the mean energy."""
        x = next(iter(batches))[0]
        mean, covariance = moments(batches)
        if self.components >= len(mean):
            raise ValueError(
                f"components must be fewer than the dimensions of the data, {len(mean)}, got "
                f"components={self.components}. Use energies.Gaussian for a full covariance."
            )
        values, vectors = torch.linalg.eigh(covariance)
        values, axes = values.flip(0), vectors.T.flip(0)[: self.components]
        noise = values[self.components :].mean()
        if not bool(noise > 1e-12 * values[0]):
            raise ValueError(
                f"data must vary outside {self.components} directions, got noise variance "
                f"{float(noise):.2g}. Ask for fewer components, or use PCA."
            )
        self.mean, self.axes, self.noise = (v.to(x.dtype) for v in (mean, axes, noise))
        self.variances = values[: self.components].to(x.dtype)
        entropy = len(mean) * (1 + math.log(2 * math.pi))
        entropy = entropy + values[: self.components].log().sum()
        entropy = entropy + (len(mean) - self.components) * noise.log()
        return {"negative_log_likelihood": entropy / 2}

    def _centered(self, x: Tensor) -> Tensor:
        if self.mean.numel() == 0:
            raise ValueError(
                "axes must come from data first, got none. Call ebm.fit(method, data)."
            )
        rows = x.flatten(1)
        checks.features(rows, len(self.mean), self.mean)
        return rows - self.mean
