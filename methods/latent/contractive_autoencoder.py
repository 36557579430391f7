"""Contractive autoencoder.

The code is made to change as little as possible around the data, while the decoder must
still tell examples apart: only directions along the data survive in the code, and what lies
off the data is rebuilt on it, at a cost.

    L = mean |x - decoder(z)|^2 + contraction_weight |dz / dx|^2        z = encoder(x)
    E(x) = |x - decoder(encoder(x))|^2 + contraction_weight |dz / dx|^2

Reference: Rifai, Vincent, Muller, Glorot & Bengio, "Contractive auto-encoders: explicit
invariance during feature extraction", ICML 2011.
Differs: encoder and decoder need not share weights, and may have several layers.
"""

from torch import Tensor, nn

from ebm import Method, checks
from ebm.latent.penalties import contraction
from ebm.networks import MLP, decoder_for
from ebm.shapes import Configurations, Energies
from ebm.terms import Reconstruction


class ContractiveAutoencoder(Method):
    """An autoencoder whose code resists changes of its input.

    Args:
        encoder: Maps examples to codes; smooth, such as a sigmoid layer.
        decoder: Maps codes to tensors shaped like the examples.
        contraction_weight: Weight of the squared norm of the encoder's Jacobian.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, *, contraction_weight: float = 0.1
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.reconstruction = Reconstruction()
        self.contraction_weight = checks.not_negative("contraction_weight", contraction_weight)

    @classmethod
    def example(
        cls, data: Tensor, *, code: int = 16, contraction_weight: float = 0.1
    ) -> "ContractiveAutoencoder":
        """Return a small instance with sigmoid codes for data of any shape."""
        layers = MLP([data[0].numel(), 64, code], activation=nn.Tanh)
        encoder = nn.Sequential(nn.Flatten(), layers, nn.Sigmoid())
        decoder = decoder_for(data, features=code)
        return cls(encoder, decoder, contraction_weight=contraction_weight)

    def encode(self, x: Configurations) -> Tensor:
        """Return the codes."""
        return self.encoder(x)

    def energy(self, x: Configurations) -> Energies:
        """Return the reconstruction error and the weighted contraction."""
        reconstruction, penalty = self.terms(x).values()
        return reconstruction + penalty

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the reconstruction error and the weighted contraction."""
        return {
            "reconstruction": self.reconstruction(x, self.decoder(self.encoder(x))),
            "contraction": self.contraction_weight * contraction(self.encoder, x),
        }
