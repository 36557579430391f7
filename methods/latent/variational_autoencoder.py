"""Variational autoencoder.

The code is noisy and its prior is a ball: codes of different examples are spheres that must
not overlap and must stay near the origin, so the volume that can be rebuilt well is bounded.
The encoder gives the mean and the variance of q(z | x), and the energy is an upper bound of
the free energy -log p(x), above it by KL(q | posterior).

    E(x, z) = |x - decoder(z)|^2 / (2 variance) + dim / 2 log(2 pi variance) + prior(z)
    F(x) = -log integral exp(-E)    <=    E_q[reconstruction] + kl_weight KL(q(z | x) | N(0, I))
    KL = (v + mean^2 - 1 - log v) / 2, summed over the code        L = mean of the bound

Reference: Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014, arXiv:1312.6114,
equation 10; Higgins et al., ICLR 2017 (kl_weight other than 1).
Differs: `energy` takes the expectation over q at 2 * code fixed points, a cubature rule that
is exact for linear decoders, so that the surface has no noise; training draws one sample.
"""

import math

import torch
from torch import Tensor, nn

from ebm import Method, checks
from ebm.latent.codec import codec_for
from ebm.shapes import Configurations, Energies
from ebm.terms import Reconstruction


class VariationalAutoencoder(Method):
    """An encoder of means and log variances, and a decoder.

    Args:
        encoder: Maps examples to (batch, 2 * code): means, then log variances.
        decoder: Maps codes to tensors shaped like the examples.
        variance: Variance of the data about what the decoder rebuilds.
        kl_weight: Weight of the divergence from the prior; 1 bounds -log p(x).
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        variance: float = 0.02,
        kl_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.reconstruction = Reconstruction()
        self.variance = checks.positive("variance", variance)
        self.kl_weight = checks.not_negative("kl_weight", kl_weight)

    @classmethod
    def example(
        cls, data: Tensor, *, code: int = 2, variance: float = 0.02, kl_weight: float = 1.0
    ) -> "VariationalAutoencoder":
        """Return a small instance for points or images; `code` is the width of the code."""
        encoder, decoder = codec_for(data, code, encoded=2 * code)
        return cls(encoder, decoder, variance=variance, kl_weight=kl_weight)

    def posterior(self, x: Configurations) -> tuple[Tensor, Tensor]:
        """Return the mean and the log variance of q(z | x), (batch, code) each."""
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        return mean, log_variance

    def encode(self, x: Configurations) -> Tensor:
        """Return the means of the codes."""
        return self.posterior(x)[0]

    def energy(self, x: Configurations) -> Energies:
        """Return the bound of -log p(x), without drawing anything."""
        mean, log_variance = self.posterior(x)
        width = mean.shape[1]
        unit = math.sqrt(width) * torch.eye(width, dtype=mean.dtype, device=mean.device)
        total = torch.zeros_like(mean[:, 0])
        for point in torch.cat([unit, -unit]):
            total = total + self._error(x, mean + (log_variance / 2).exp() * point)
        return total / (2 * width) + self.kl_weight * _divergence(mean, log_variance)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the reconstruction error of one draw and the weighted divergence."""
        mean, log_variance = self.posterior(x)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        divergence = self.kl_weight * _divergence(mean, log_variance)
        return {"reconstruction": self._error(x, z), "divergence": divergence}

    def _error(self, x: Tensor, z: Tensor) -> Tensor:
        constant = x[0].numel() * math.log(2 * math.pi * self.variance) / 2
        return self.reconstruction(x, self.decoder(z)) / (2 * self.variance) + constant


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    # expm1(l) - l is exp(l) - 1 - l without cancellation near l = 0.
    return (log_variance.expm1() - log_variance + mean.square()).sum(-1) / 2
