"""VICReg: variance, invariance, covariance.

Two views of an example get the same embedding; what keeps the embedding from collapsing is
no contrast but two statistics of the batch: every dimension keeps its deviation above 1, and
no two dimensions say the same.

    E(x, y) = invariance_weight * mean_j (z_xj - z_yj)^2,    z = projector(encoder(.))
    L = mean E + variance_weight * V(z_x, z_y) + covariance_weight * C(z_x, z_y)
    V = mean over views of mean_j relu(1 - sqrt(var_j + 1e-4))
    C = sum over views of sum_{j != k} cov_jk^2 / D

Reference: Bardes, Ponce & LeCun, "VICReg: variance-invariance-covariance regularization for
self-supervised learning", ICLR 2022, arXiv:2105.04906, eqs. 1 to 6.
Differs: in nothing from the authors' code. The paper's equations sum the squared differences
over dimensions and V over the views: `VICReg.paper(...)`. solo-learn sums V over the views:
`VICReg.solo(...)`. On the same embeddings the three values differ.
"""

from torch import Tensor, nn

from ebm import Method, checks, networks, terms
from ebm.shapes import Embeddings, Energies


class VICReg(Method):
    """Equal embeddings of two views, whose dimensions vary and do not repeat one another.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is compared; each view passes on its own.
        invariance_weight: Weight of the squared distance of the views.
        variance_weight: Weight of the hinge on each dimension's deviation.
        covariance_weight: Weight of the squared covariances.
        invariance: The distance, in the convention wanted.
        variance: The hinge, in the convention wanted.
        covariance: The covariances, in the convention wanted.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        invariance: terms.Invariance | None = None,
        variance: terms.Variance | None = None,
        covariance: terms.Covariance | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        checks.not_negative("invariance_weight", invariance_weight)
        checks.not_negative("variance_weight", variance_weight)
        checks.not_negative("covariance_weight", covariance_weight)
        self.pair = invariance_weight * (invariance or terms.Invariance())
        self.objective = (
            self.pair
            + variance_weight * (variance or terms.Variance())
            + covariance_weight * (covariance or terms.Covariance())
        )

    @classmethod
    def paper(
        cls,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
    ) -> "VICReg":
        """Return the paper's equations: distances summed over dimensions, V over views."""
        return cls(
            encoder,
            projector,
            invariance_weight=invariance_weight,
            variance_weight=variance_weight,
            covariance_weight=covariance_weight,
            invariance=terms.Invariance.paper(),
            variance=terms.Variance.paper(),
        )

    @classmethod
    def solo(
        cls,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
    ) -> "VICReg":
        """Return solo-learn's convention: V summed over the views."""
        return cls(
            encoder,
            projector,
            invariance_weight=invariance_weight,
            variance_weight=variance_weight,
            covariance_weight=covariance_weight,
            variance=terms.Variance.paper(),
        )

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 256,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
    ) -> "VICReg":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        return cls(
            encoder,
            networks.Projector([features, dim, dim]),
            invariance_weight=invariance_weight,
            variance_weight=variance_weight,
            covariance_weight=covariance_weight,
        )

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding that is compared."""
        return self.projector(self.encoder(x))

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the weighted squared distance of each pair's embeddings."""
        return self.pair(self.embed(x), self.embed(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the three weighted terms of two views."""
        return self.objective.parts(self.embed(x), self.embed(y))
