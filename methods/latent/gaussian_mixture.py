"""Gaussian mixture, by expectation maximization.

The latent picks one of a few Gaussians and is summed out: the energy is a soft minimum of
quadratic bowls, and it is normalized. Each pass computes how much of each example belongs to
each component, and moves the components to the means and covariances of what they own;
neither can raise the mean energy.

    E(x, k) = (x - mean_k)^T C_k^-1 (x - mean_k) / 2 + log det(2 pi C_k) / 2 - log weight_k
    F(x) = -log sum_k exp(-E(x, k))        L = mean F

Reference: Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM
algorithm", Journal of the Royal Statistical Society B 39(1), 1977.
Differs: `variance_floor` is added to each variance (scikit-learn's reg_covar); without it a
component may shrink onto one example, where the likelihood has no bound. Starts from
k-means++ means with the covariance of all the data.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import Method, checks
from ebm.latent.clusters import plus_plus
from ebm.latent.mixtures import Covariance, Full, Mixture, em_step
from ebm.latent.moments import moments
from ebm.memory import late_buffer
from ebm.shapes import Codes, Energies


class GaussianMixture(Method):
    """Weights, means and covariances, and minus the log of their density.

    It has no trainable parameters: each step of `fit` is one pass of EM over the data.

    Args:
        components: Number of Gaussians.
        covariance: `Full()`, `Diagonal()` or `Spherical()` of `ebm.latent`.
        start: Means to start from, (components, dim); drawn by k-means++ if None.
        variance_floor: Added to each variance.
        tolerance: Relative improvement of a pass below which `fit` stops.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(
        self,
        components: int,
        *,
        covariance: Covariance = Full(),  # noqa: B008 - frozen
        start: Tensor | None = None,
        variance_floor: float = 1e-6,
        tolerance: float = 1e-6,
    ) -> None:
        super().__init__()
        self.components = checks.count("components", components)
        self.covariance = covariance
        self.variance_floor = checks.not_negative("variance_floor", variance_floor)
        self.tolerance = checks.not_negative("tolerance", tolerance)
        for name in ("weights", "means", "covariances"):
            late_buffer(self, name)
        if start is not None and len(checks.configurations("start", start)) != components:
            raise ValueError(
                f"start must have one row for each component, got shape {tuple(start.shape)} "
                f"and components={components}. Pass {components} rows."
            )
        self.first = start

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        components: int = 8,
        covariance: Covariance = Full(),  # noqa: B008 - frozen
        variance_floor: float = 1e-6,
        tolerance: float = 1e-6,
    ) -> "GaussianMixture":
        """Return a small instance for data of any shape."""
        return cls(
            min(components, len(data)),
            covariance=covariance,
            variance_floor=variance_floor,
            tolerance=tolerance,
        )

    @property
    def mixture(self) -> Mixture:
        """The components as they stand."""
        if self.means.numel() == 0:
            raise ValueError(
                "means must come from data first, got none. Call ebm.fit(method, data)."
            )
        return Mixture(self.weights, self.means, self.covariances, self.covariance)

    def infer(self, x: Tensor) -> Codes:
        """Return the share of each component in each example, (batch, components)."""
        return torch.softmax(-self.mixture.energies(x.flatten(1)), -1)

    def energy(self, x: Tensor) -> Energies:
        """Return minus the log density of the mixture."""
        return -torch.logsumexp(-self.mixture.energies(x.flatten(1)), -1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"negative_log_likelihood": self.energy(x)}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """Make one pass of EM; return the mean energy before it."""
        if self.means.numel() == 0:
            x = next(iter(batches))[0]
            _, full = moments(batches)
            means = plus_plus(batches, self.components) if self.first is None else self.first
            every = full.to(x.dtype).expand(self.components, -1, -1)
            self.means = means.to(x).flatten(1)
            self.weights = torch.full_like(self.means[:, 0], 1 / self.components)
            kept = self.covariance.restricted(every).contiguous()
            self.covariances = self.covariance.floored(kept, self.variance_floor)
        updated, energy = em_step(batches, self.mixture, self.variance_floor)
        self.weights, self.means = updated.weights, updated.means
        self.covariances = updated.covariances
        return {"negative_log_likelihood": energy}
