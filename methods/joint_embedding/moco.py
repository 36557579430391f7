"""MoCo: momentum contrast, with a queue of negatives (version 2).

The negatives come from a queue of earlier embeddings, so that their number does not hang on
the batch. For the queue to be consistent, its embeddings come from a teacher that follows
the encoder slowly.

    E(x, y) = -cos(q(x), k(y)) / T,    q = projector(encoder(.)),  k its running average
    L = mean E(x, y) + log(exp(-E(x, y)) + sum over the queue of exp(cos(q(x), row) / T))

Reference: He, Fan, Wu, Xie & Girshick, "Momentum contrast for unsupervised visual
representation learning", CVPR 2020, arXiv:1911.05722, eq. 1 and algorithm 1; Chen et al.,
"Improved baselines with momentum contrastive learning", 2020, arXiv:2003.04297 (version 2).
Differs: the teacher moves after the step instead of before its next forward pass, which is
the same; batch norm sees the whole batch of all processes, so that there is no shuffling
between them.
"""

from torch import Tensor, nn
from torch.nn import functional

from ebm import Method, networks, terms
from ebm.memory import Queue, Teacher
from ebm.shapes import Embeddings, Energies


class MoCo(Method):
    """The other view under a slow teacher against a queue of the teacher's embeddings.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is compared.
        queue: Holds the negatives.
        temperature: Divides the cosines.
        momentum: Share of the teacher that stays at a step.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        queue: Queue,
        temperature: float = 0.2,
        momentum: float = 0.999,
    ) -> None:
        super().__init__()
        self.student = nn.Sequential(encoder, projector)
        self.teacher = Teacher(self.student, momentum=momentum)
        self.queue = queue
        self.objective = terms.InfoNCE(temperature=temperature)
        self.pair = terms.Cosine() / temperature

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        size: int = 1024,
        temperature: float = 0.2,
        momentum: float = 0.99,
    ) -> "MoCo":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        projector = networks.Projector([features, features, dim])
        queue = Queue(size, dim)
        return cls(encoder, projector, queue=queue, temperature=temperature, momentum=momentum)

    @property
    def encoder(self) -> nn.Module:
        """What makes the representation that is kept."""
        return self.student[0]

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of x under the student and y under the teacher, over T."""
        return self.pair(self.student(x), self.teacher(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the loss of each pair; the teacher's embeddings enter the queue after it."""
        queries, keys = self.student(x), functional.normalize(self.teacher(y), dim=-1)
        self.queue.stage(keys)
        self.teacher.stage(self.student)
        return self.objective.parts(queries, keys, self.queue.rows.clone())
