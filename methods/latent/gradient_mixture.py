"""Gaussian mixture, by gradient descent.

The same energy as that of the mixture fitted by EM, with its numbers as parameters: the
negative log likelihood goes down by gradient steps on batches. Slower than EM on a mixture
alone, and what a mixture needs inside a larger energy.

    E(x, k) = |L_k (x - mean_k)|^2 / 2 - log det L_k + dim / 2 log(2 pi) - log weight_k
    F(x) = -log sum_k exp(-E(x, k))        L = mean F

L_k is lower triangular with a positive diagonal, exp of a parameter, so that L_k^T L_k is the
precision: a full one, or a diagonal, or one number.

Reference: Bishop, "Mixture density networks", Aston University, 1994.
Differs: no network gives the parameters.
"""

import math

import torch
from torch import Tensor, nn

from ebm import Method, checks
from ebm.latent.clusters import plus_plus
from ebm.latent.mixtures import Covariance, Full, Spherical
from ebm.shapes import Codes, Energies, Matrix


class GradientMixture(Method):
    """Weights, means and precisions as parameters, and minus the log of their density.

    Args:
        means: Means to start from, (components, dim).
        covariance: `Full()`, `Diagonal()` or `Spherical()` of `ebm.latent`.
        scale: Standard deviation to start from.
    """

    def __init__(
        self,
        means: Matrix,
        *,
        covariance: Covariance = Full(),  # noqa: B008 - frozen
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        components, dim = means.shape
        self.covariance = covariance
        self.logits = nn.Parameter(means.new_zeros(components))
        self.means = nn.Parameter(means.detach().clone())
        level = -math.log(checks.positive("scale", scale))
        width = 1 if isinstance(covariance, Spherical) else dim
        self.log_diagonal = nn.Parameter(means.new_full((components, width), level))
        lower = means.new_zeros(components, dim, dim)
        self.lower = nn.Parameter(lower) if isinstance(covariance, Full) else None

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        components: int = 8,
        covariance: Covariance = Full(),  # noqa: B008 - frozen
    ) -> "GradientMixture":
        """Return a small instance with means drawn from the data by k-means++."""
        rows = data.flatten(1)
        means = plus_plus([(rows[:4096],)], min(components, len(rows)))
        return cls(means, covariance=covariance, scale=float(rows.std()) / 2)

    def infer(self, x: Tensor) -> Codes:
        """Return the share of each component in each example, (batch, components)."""
        return torch.softmax(-self._energies(x), -1)

    def energy(self, x: Tensor) -> Energies:
        """Return minus the log density of the mixture."""
        return -torch.logsumexp(-self._energies(x), -1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"negative_log_likelihood": self.energy(x)}

    def _energies(self, x: Tensor) -> Tensor:
        offsets = x.flatten(1)[None] - self.means[:, None]
        whitened = offsets * self.log_diagonal.exp()[:, None]
        if self.lower is not None:
            whitened = whitened + offsets @ self.lower.tril(-1).mT
        dim = self.means.shape[1]
        determinant = self.log_diagonal.expand(-1, dim).sum(-1)  # log det L
        constant = dim * math.log(2 * math.pi) / 2 - determinant
        constant = constant - torch.log_softmax(self.logits, 0)
        return whitened.square().sum(-1).T / 2 + constant
