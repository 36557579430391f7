"""The energy of a mixture of Gaussians."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ebm import checks
from ebm.energies.target import Numbers, Target, covariance_matrix, numbers
from ebm.shapes import Configurations, Energies
from ebm.traits import BatchPermutation

CIRCLE = tuple((2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)) for k in range(8))


class GaussianMixture(Target):
    """E(x) = -log sum_k weight_k N(x; mean_k, covariance_k), so log Z = 0.

    Args:
        means: The centers, (components, dim); eight on a circle of radius 2 by default.
        covariances: One for each component, a matrix or a number that stands for that
            multiple of the identity; a single number serves all.
        weights: Share of each component; they are divided by their sum. Equal if None.
    """

    traits = (BatchPermutation(),)
    means: Tensor
    log_weights: Tensor
    factors: Tensor
    whitenings: Tensor
    log_determinants: Tensor

    def __init__(
        self,
        means: Numbers = CIRCLE,
        covariances: float | Numbers = 0.04,
        weights: Numbers | None = None,
    ) -> None:
        means = numbers(means)
        if means.ndim != 2:
            raise ValueError(
                f"means must have shape (components, dim), got {tuple(means.shape)}. "
                "Write one list for each component."
            )
        matrices = _matrices(covariances, *means.shape).to(means.device)
        shares = _shares(weights, len(means)).to(means)
        mean = shares @ means
        spread = (means - mean).mT * shares @ (means - mean)
        within = torch.einsum("k,kij->ij", shares, matrices.to(means.dtype))
        super().__init__(mean, within + spread, 0.0)
        factors = torch.linalg.cholesky(matrices)
        for name, buffer in {
            "means": means,
            "log_weights": shares.log(),
            "factors": factors,
            "whitenings": factors.inverse(),
            "log_determinants": matrices.logdet(),
        }.items():
            self.register_buffer(name, buffer.to(means.dtype), persistent=False)

    def forward(self, x: Configurations) -> Energies:
        """Return minus the log density of each point."""
        # White coordinates of all components by one product, about the mean: (k, dim, batch).
        points = (self.points(x) - self.mean.to(x.dtype)).mT
        whitenings, means = self.whitenings.to(x.dtype), (self.means - self.mean).to(x.dtype)
        white = (whitenings.flatten(0, 1) @ points).unflatten(0, whitenings.shape[:2])
        white = white - whitenings @ means[:, :, None]
        constant = self.log_determinants / 2 + self.dim / 2 * math.log(2 * math.pi)
        logits = (self.log_weights - constant).to(x.dtype)[:, None] - white.square().sum(1) / 2
        return -torch.logsumexp(logits, dim=0)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, dim)."""
        shares = self.log_weights.exp()
        which = torch.multinomial(shares, count, replacement=True, generator=generator)
        noise = self.noise(count, self.dim, generator=generator)
        return self.means[which] + torch.einsum("nij,nj->ni", self.factors[which], noise)


def _matrices(covariances: float | Numbers, components: int, dim: int) -> Tensor:
    if isinstance(covariances, Tensor) and covariances.ndim == 0:
        covariances = float(covariances)
    each = covariances if isinstance(covariances, Tensor | Sequence) else [covariances] * components
    if len(each) != components:
        raise ValueError(
            f"covariances must be one for each of the {components} means, got {len(each)}. "
            "A single number serves all."
        )
    return torch.stack([covariance_matrix(covariance, dim) for covariance in each])


def _shares(weights: Numbers | None, components: int) -> Tensor:
    shares = torch.ones(components) if weights is None else numbers(weights)
    if shares.shape != (components,) or not bool((shares > 0).all()):
        raise ValueError(
            f"weights must be {components} positive numbers, got {shares.tolist()}. "
            "Give one for each mean."
        )
    return shares / checks.positive("the sum of the weights", float(shares.sum()))
