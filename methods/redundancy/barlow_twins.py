"""Barlow Twins.

The correlation matrix of two views' embeddings should be the identity: each dimension agrees
with itself across the views, and says nothing about the others.

    E(x, y) = mean_j (z_xj - z_yj)^2,    z = projector(encoder(.)), standardized
    L = sum_j (1 - C_jj)^2 + off_diagonal_weight * sum_{j != k} C_jk^2

C is the correlation over the batch. For standardized embeddings the mean of E is
2 - 2 mean_j C_jj: the first term pulls the same pairs together.

Reference: Zbontar, Jing, Misra, LeCun & Deny, "Barlow Twins: self-supervised learning via
redundancy reduction", ICML 2021, arXiv:2103.03230, eqs. 1 and 2.
Differs: the gradient of C is that of the batch of all processes (the authors' all-reduce
drops it, which divides it by their number); there is no factor `scale_loss`.
"""

from torch import Tensor, nn

from ebm import Method, networks, terms
from ebm.shapes import Embeddings, Energies


class BarlowTwins(Method):
    """Embeddings whose dimensions agree across views and do not repeat one another.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding; ended by `networks.BatchNorm(dim, affine=False)`, its
            pair energy is in the scale of the correlations. The loss is the same without.
        off_diagonal_weight: Weight of the redundancy, lambda in the paper.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        off_diagonal_weight: float = 0.0051,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.objective = terms.CrossCorrelation(off_diagonal_weight=off_diagonal_weight)
        self.pair = terms.Invariance()

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 256,
        off_diagonal_weight: float = 0.0051,
    ) -> "BarlowTwins":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        last = networks.BatchNorm(dim, affine=False)
        projector = networks.Projector([networks.features_of(encoder), dim, dim], last=last)
        return cls(encoder, projector, off_diagonal_weight=off_diagonal_weight)

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding that is compared."""
        return self.projector(self.encoder(x))

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of each pair's embeddings."""
        return self.pair(self.embed(x), self.embed(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the agreement and the weighted redundancy of two views."""
        return self.objective.parts(self.embed(x), self.embed(y))
