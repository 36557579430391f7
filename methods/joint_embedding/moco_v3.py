"""MoCo v3: momentum contrast without a queue.

With batches large enough the other examples' keys are negatives enough. A predictor on the
student's side makes the two sides unlike.

    E(x, y) = -cos(predictor(q(x)), k(y)) / T,    q = projector(encoder(.)),  k its average
    L = 2 T (InfoNCE(x, y) + InfoNCE(y, x)),  negatives the other keys of the same view

Reference: Chen, Xie & He, "An empirical study of training self-supervised vision
transformers", ICCV 2021, arXiv:2104.02057, eq. 1 and algorithm 1.
Differs: in nothing; the patch layer of a vision transformer is frozen by the caller
(`encoder.patches.requires_grad_(False)`).
"""

from torch import Tensor, nn

from ebm import Method, checks, networks, terms
from ebm.memory import Teacher, rising
from ebm.shapes import Embeddings, Energies


class MoCoV3(Method):
    """The other view under a slow teacher against the other keys of the batch, both ways.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding; its output has batch norm in the paper.
        predictor: Maps the student's embedding to the teacher's.
        temperature: Divides the cosines; 0.2 for vision transformers.
        momentum: Share of the teacher that stays at the first step; it rises to 1.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        predictor: nn.Module = nn.Identity(),
        *,
        temperature: float = 1.0,
        momentum: float = 0.99,
    ) -> None:
        super().__init__()
        self.student, self.predictor = nn.Sequential(encoder, projector), predictor
        self.momentum = checks.fraction("momentum", momentum)
        self.teacher = Teacher(self.student, momentum=momentum)
        self.objective = 2 * temperature * terms.InfoNCE(temperature=temperature)
        self.pair = terms.Cosine() / temperature

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        temperature: float = 0.2,
        momentum: float = 0.99,
    ) -> "MoCoV3":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        norms = [networks.BatchNorm(dim, affine=False) for _ in range(2)]
        projector = networks.Projector([features, features, dim], last=norms[0])
        predictor = networks.Projector([dim, features, dim], last=norms[1])
        return cls(encoder, projector, predictor, temperature=temperature, momentum=momentum)

    @property
    def encoder(self) -> nn.Module:
        """What makes the representation that is kept."""
        return self.student[0]

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of x's prediction and y under the teacher, over T."""
        return self.pair(self.predictor(self.student(x)), self.teacher(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the loss of each pair in both directions."""
        of_x, of_y = (self.predictor(self.student(view)) for view in (x, y))
        self.teacher.stage(self.student, rising(self.momentum, self.progress))
        return {
            "x_to_y": self.objective(of_x, self.teacher(y)),
            "y_to_x": self.objective(of_y, self.teacher(x)),
        }
