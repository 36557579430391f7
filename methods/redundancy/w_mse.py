"""W-MSE: whitening, then squared error.

Two views get the same embedding after each has been whitened over its batch. Whitened
embeddings have unit covariance, so that they cannot collapse: no negatives, no asymmetry.

    E(x, y) = 2 - 2 cos(z_x, z_y),    z = projector(encoder(.))
    L = mean 2 - 2 cos(W_x z_x, W_y z_y),    W the inverse Cholesky factor of cov(z)

Reference: Ermolov, Siarohin, Sangineto & Sebe, "Whitening for self-supervised representation
learning", ICML 2021, arXiv:2007.06346, eqs. 2 to 5.
Differs: in nothing; the pair energy leaves the whitening out, which is the batch's.
"""

from torch import Tensor, nn

from ebm import Method, networks, terms
from ebm.shapes import Embeddings, Energies


class WMSE(Method):
    """Equal embeddings of views, compared after whitening.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is whitened; half as many dimensions as `size`.
        size: Rows that are whitened together; None is the whole batch.
        divisions: Random divisions of the batch that are averaged.
        eps: Shrinks the covariance toward the identity.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        size: int | None = 128,
        divisions: int = 1,
        eps: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.objective = terms.Whitening(size=size, divisions=divisions, eps=eps)
        self.pair = terms.Alignment()

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 32,
        size: int | None = None,
        divisions: int = 1,
        eps: float = 1e-3,
    ) -> "WMSE":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        projector = networks.Projector([features, features, dim])
        return cls(encoder, projector, size=size, divisions=divisions, eps=eps)

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding that is whitened."""
        return self.projector(self.encoder(x))

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of each pair's embeddings on the sphere."""
        return self.pair(self.embed(x), self.embed(y))

    def terms(self, *views: Tensor) -> dict[str, Tensor]:
        """Return the distance of the whitened views, two or more."""
        return self.objective.parts(*(self.embed(view) for view in views))
