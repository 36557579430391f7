"""Sparse autoencoder.

A code may be wider than the data when few of its entries are active at a time: each set of
active entries rebuilds one thin patch, and low energy is confined to the union of patches.

    E(x) = |x - decoder(z)|^2 + sparsity_weight |z|_1        z = encoder(x)        L = mean E

In place of |z|_1, `KLSparsity` asks for a small mean activity over the batch; `TopK` at the
end of the encoder keeps a fixed number of entries, with no penalty at all.

Reference: Ranzato, Boureau & LeCun, "Sparse feature learning for deep belief networks",
NIPS 2007; Ng, CS294A lecture notes, 2011 (KL); Makhzani & Frey, arXiv:1312.5663 (top-k).
Differs: the decoder's columns are kept in the unit ball after each step, because longer ones
with smaller codes would rebuild the same at less cost.
"""

from torch import Tensor, nn

from ebm import Energy, Method, Reach, checks
from ebm.latent.dictionary import into_unit_ball
from ebm.latent.penalties import L1
from ebm.networks import MLP
from ebm.shapes import Configurations, Energies
from ebm.terms import Reconstruction


class SparseAutoencoder(Method):
    """An autoencoder with a wide code of which little is active.

    Args:
        encoder: Maps examples to codes, (batch, code).
        decoder: Maps codes to tensors shaped like the examples; its first linear layer's
            columns are kept in the unit ball.
        penalty: Energy of the codes; `L1()` if None, which is also used with `TopK`.
        sparsity_weight: Weight of the penalty; 0 with `TopK`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        penalty: Energy | None = None,
        *,
        sparsity_weight: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.penalty = L1() if penalty is None else penalty
        self.reconstruction = Reconstruction()
        self.sparsity_weight = checks.not_negative("sparsity_weight", sparsity_weight)
        self.after_step()

    @classmethod
    def example(
        cls, data: Tensor, *, code: int | None = None, sparsity_weight: float = 0.1
    ) -> "SparseAutoencoder":
        """Return a small instance with a linear decoder for data of any shape."""
        features = data[0].numel()
        code = 4 * features if code is None else code
        encoder = nn.Sequential(nn.Flatten(), MLP([features, 128, code]), nn.ReLU())
        decoder = nn.Sequential(nn.Linear(code, features), nn.Unflatten(1, data.shape[1:]))
        return cls(encoder, decoder, sparsity_weight=sparsity_weight)

    def encode(self, x: Configurations) -> Tensor:
        """Return the codes."""
        return self.encoder(x)

    def energy(self, x: Configurations) -> Energies:
        """Return the error, and the penalty where it is one of a single example."""
        z = self.encoder(x)
        error = self.reconstruction(x, self.decoder(z))
        own = self.penalty.reach == Reach.OWN
        return error + self.sparsity_weight * self.penalty(z) if own else error

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the reconstruction error and the weighted penalty."""
        z = self.encoder(x)
        return {
            "reconstruction": self.reconstruction(x, self.decoder(z)),
            "sparsity": self.sparsity_weight * self.penalty(z),
        }

    def after_step(self) -> None:
        """Bring the columns of the decoder's first layer back into the unit ball."""
        for layer in self.decoder.modules():
            if isinstance(layer, nn.Linear):
                into_unit_ball(layer.weight.T)
                return
