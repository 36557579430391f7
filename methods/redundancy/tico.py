"""TiCo: transformation invariance and covariance contrast.

Two views agree, and no direction of the embedding is used by all: embeddings pay for lying
along the directions that were used before, which the running second moment remembers. It is
a memory bank in the form of a matrix.

    E(x, y) = 1 - cos(z_x, k_y),    z = projector(encoder(.)),  k its running average
    L = mean E(x, y) + covariance_weight * mean z_x^T C z_x
    C <- covariance_momentum * C + (1 - covariance_momentum) * mean z_x z_x^T

Reference: Zhu, Moraes, Karakulak, Sobal, Canziani & LeCun, "TiCo: transformation invariance
and covariance contrast for self-supervised visual representation learning", 2022,
arXiv:2206.10698, eqs. 5 to 7.
Differs: in nothing; the gradient flows through the batch's own share of C.
"""

from torch import Tensor, nn

from ebm import Method, checks, networks, terms
from ebm.memory import Center, Teacher, rising
from ebm.shapes import Embeddings, Energies


class TiCo(Method):
    """Agreement with a slow teacher, away from the directions used so far.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is compared.
        dim: Dimension of the embedding.
        covariance_weight: Weight of the second moment along the embedding, rho in the paper.
        covariance_momentum: Share of the second moment that stays at a step, beta.
        momentum: Share of the teacher that stays at the first step; it rises to 1.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        dim: int,
        covariance_weight: float = 8.0,
        covariance_momentum: float = 0.9,
        momentum: float = 0.99,
    ) -> None:
        super().__init__()
        self.student = nn.Sequential(encoder, projector)
        self.momentum = checks.fraction("momentum", momentum)
        self.teacher = Teacher(self.student, momentum=momentum)
        self.covariance_weight = checks.not_negative("covariance_weight", covariance_weight)
        self.contrast = terms.TransformationCovariance(momentum=covariance_momentum)
        self.covariance = Center(dim, dim, momentum=covariance_momentum)
        self.pair = terms.Cosine()

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        covariance_weight: float = 8.0,
        covariance_momentum: float = 0.9,
        momentum: float = 0.99,
    ) -> "TiCo":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        projector = networks.Projector([features, features, dim])
        return cls(
            encoder,
            projector,
            dim=dim,
            covariance_weight=covariance_weight,
            covariance_momentum=covariance_momentum,
            momentum=momentum,
        )

    @property
    def encoder(self) -> nn.Module:
        """What makes the representation that is kept."""
        return self.student[0]

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return 1 minus the cosine of x under the student and y under the teacher."""
        return 1 + self.pair(self.student(x), self.teacher(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the distance of each pair and what its direction costs."""
        embedding = self.student(x)
        self.covariance.stage(self.contrast.moment(embedding.detach()))
        self.teacher.stage(self.student, rising(self.momentum, self.progress))
        used = self.contrast(embedding, self.covariance.value.clone())
        return {
            "invariance": 1 + self.pair(embedding, self.teacher(y)),
            "covariance": self.covariance_weight * used,
        }
