"""BYOL: bootstrap your own latent.

A student predicts what a slow average of itself makes of the other view. Nothing pushes
embeddings apart, and collapse would attain the minimum; the predictor, the slow teacher and
batch norm keep training from going there.

    E(x, y) = 2 - 2 cos(predictor(z_x), k_y),    z = projector(encoder(.)),  k its average
    L = mean E(x, y) + mean E(y, x)

Reference: Grill et al., "Bootstrap your own latent: a new approach to self-supervised
learning", NeurIPS 2020, arXiv:2006.07733, eqs. 1 to 3.
Differs: in nothing; the teacher's batch norm keeps its own running statistics.
"""

from torch import Tensor, nn

from ebm import Method, checks, networks, terms
from ebm.memory import Teacher, rising
from ebm.shapes import Embeddings, Energies


class BYOL(Method):
    """Predict a slow teacher's embedding of the other view.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding.
        predictor: Maps the student's embedding to the teacher's.
        momentum: Share of the teacher that stays at the first step; it rises to 1.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        predictor: nn.Module = nn.Identity(),
        *,
        momentum: float = 0.996,
    ) -> None:
        super().__init__()
        self.student, self.predictor = nn.Sequential(encoder, projector), predictor
        self.momentum = checks.fraction("momentum", momentum)
        self.teacher = Teacher(self.student, momentum=momentum)
        self.pair = terms.Alignment()

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        momentum: float = 0.98,
    ) -> "BYOL":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        projector = networks.Projector([networks.features_of(encoder), 256, dim])
        return cls(encoder, projector, networks.Predictor(dim, 256), momentum=momentum)

    @property
    def encoder(self) -> nn.Module:
        """What makes the representation that is kept."""
        return self.student[0]

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of x's prediction and y under the teacher."""
        return self.pair(self.predictor(self.student(x)), self.teacher(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the distances in both directions."""
        self.teacher.stage(self.student, rising(self.momentum, self.progress))
        return {"x_to_y": self.energy(x, y), "y_to_x": self.energy(y, x)}
