"""Denoising autoencoder.

A network is trained to move noisy examples back. Points off the data are moved far and
points on it stay, so the length of the move is an energy: low on the data, and kept up
elsewhere without a bottleneck. Its best answer is the mean of the clean example given the
noisy one, which by Tweedie's formula is a step along the score of the smoothed data.

    L = mean |x - r(x + sigma noise)|^2        E(x) = |x - r(x)|^2
    r*(x) = x + sigma^2 d log q_sigma(x) / dx   q_sigma: the data smoothed with the noise

Reference: Vincent, "A connection between score matching and denoising autoencoders", Neural
Computation 23(7), 2011; Alain & Bengio, JMLR 15, 2014, arXiv:1211.4246.
Differs: in nothing. E is the squared length of the step r(x) - x, not the potential of that
step, which exists only at the optimum; `score(x)` is the step over sigma^2.
"""

import torch
from torch import Tensor, nn

from ebm import Method, checks
from ebm.latent.codec import codec_for
from ebm.shapes import Configurations, Energies
from ebm.terms import Reconstruction


class DenoisingAutoencoder(Method):
    """An encoder and a decoder that undo noise.

    Args:
        encoder: Maps examples to codes; no bottleneck is needed.
        decoder: Maps codes to tensors shaped like the examples.
        sigma: Standard deviation of the noise, in units of the data.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, sigma: float = 0.2) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.reconstruction = Reconstruction()
        self.sigma = checks.positive("sigma", sigma)

    @classmethod
    def example(cls, data: Tensor, *, code: int = 32, sigma: float = 0.2) -> "DenoisingAutoencoder":
        """Return a small instance for points or images; `code` is the width of the code."""
        return cls(*codec_for(data, code), sigma=sigma)

    def encode(self, x: Configurations) -> Tensor:
        """Return the codes."""
        return self.encoder(x)

    def denoise(self, x: Configurations) -> Tensor:
        """Return where the examples are moved to, r(x)."""
        return self.decoder(self.encoder(x))

    def energy(self, x: Configurations) -> Energies:
        """Return the squared length of the move."""
        return self.reconstruction(x, self.denoise(x))

    def score(self, x: Configurations) -> Tensor:
        """Return the estimate of d log q_sigma(x) / dx: the move over sigma^2."""
        return (self.denoise(x) - x) / self.sigma**2

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the squared error of what is rebuilt from noisy examples."""
        checks.configurations("x", x)
        noisy = x + self.sigma * torch.randn_like(x)
        return {"denoising": self.reconstruction(x, self.denoise(noisy))}
