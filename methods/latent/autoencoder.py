"""Autoencoder.

The energy is how badly a decoder rebuilds an example from its code. What keeps the rest of
the space up is the bottleneck: a code of few dimensions can rebuild only a thin set, so only
a thin set can have low energy.

    E(x, z) = |x - decoder(z)|^2        z = encoder(x)        F(x) = |x - decoder(encoder(x))|^2
    L = mean F(x)

The code is amortized, so F is an upper bound of min_z E(x, z).

Reference: Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural
networks", Science 313, 2006.
Differs: trained end to end, without layer-wise pretraining; squared error.
"""

from torch import Tensor, nn

from ebm import Method
from ebm.latent.codec import codec_for
from ebm.shapes import Configurations, Energies
from ebm.terms import Reconstruction


class Autoencoder(Method):
    """An encoder and a decoder with a bottleneck between them.

    Args:
        encoder: Maps examples to codes.
        decoder: Maps codes to tensors shaped like the examples.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.reconstruction = Reconstruction()

    @classmethod
    def example(cls, data: Tensor, *, code: int | None = None) -> "Autoencoder":
        """Return a small instance for points or images; `code` is the bottleneck's width."""
        return cls(*codec_for(data, code))

    def encode(self, x: Configurations) -> Tensor:
        """Return the codes."""
        return self.encoder(x)

    def energy(self, x: Configurations) -> Energies:
        """Return the squared error of the reconstruction."""
        return self.reconstruction(x, self.decoder(self.encoder(x)))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"reconstruction": self.energy(x)}
