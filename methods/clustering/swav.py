"""SwAV: swapping assignments between views.

Embeddings are assigned to prototypes, under the constraint that a batch uses all prototypes
alike, and each view predicts the assignment of the other. The constraint is what prevents
collapse; a loss that stays at log K is its failure.

    E(x, y) = -sum_k q_k(y) log softmax_k(s(x) / T),    s = prototypes(projector(encoder(.)))
    L = mean over the two whole views t of mean over views s != t of E,  q = Sinkhorn(s / eps)

In the pair energy, which knows no batch, q = softmax(s(y) / eps).

Reference: Caron, Misra, Mairal, Goyal, Bojanowski & Joulin, "Unsupervised learning of visual
features by contrasting cluster assignments", NeurIPS 2020, arXiv:2006.09882, eqs. 2 to 6.
Differs: Sinkhorn's iteration subtracts each prototype's largest score first, which its first
normalization undoes; prototypes are divided by their norm with its gradient, where the
authors renormalize them before each step.
"""

from torch import Tensor, nn
from torch.nn import functional

from ebm import Method, checks, distributed, frozen, networks, terms
from ebm.memory import Queue
from ebm.shapes import Embeddings, Energies


class SwAV(Method):
    """Predict the other view's balanced assignment to prototypes.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is assigned.
        prototypes: The cluster directions.
        queues: One for each of the two whole views, whose embeddings help to balance small
            batches; none if empty.
        temperature: Divides the scores in the prediction.
        epsilon: Temperature of the codes.
        iterations: Sinkhorn iterations.
        frozen_steps: First steps in which the prototypes do not learn.
        queue_after: Share of the run after which the queues are used.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        prototypes: networks.Prototypes,
        *,
        queues: tuple[Queue, ...] = (),
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        frozen_steps: int = 0,
        queue_after: float = 0.15,
    ) -> None:
        super().__init__()
        self.encoder, self.projector, self.prototypes = encoder, projector, prototypes
        self.queues = nn.ModuleList(queues)
        self.frozen_steps = checks.count("frozen_steps", frozen_steps, least=0)
        self.queue_after = checks.fraction("queue_after", queue_after)
        self.objective = terms.SwappedPrediction(
            temperature=temperature, epsilon=epsilon, iterations=iterations
        )
        self.pair = terms.Distillation(temperature=temperature, teacher_temperature=epsilon)

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        prototypes: int = 128,
        size: int = 0,
        temperature: float = 0.1,
        epsilon: float = 0.03,
        iterations: int = 3,
        frozen_steps: int = 0,
        queue_after: float = 0.15,
    ) -> "SwAV":
        """Return a small instance for points, pictures or a pair of views.

        epsilon is what the authors advise where 0.05 stays at log K.
        """
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        return cls(
            encoder,
            networks.Projector([features, features, dim]),
            networks.Prototypes(dim, prototypes),
            queues=(Queue(size, dim), Queue(size, dim)) if size else (),
            temperature=temperature,
            epsilon=epsilon,
            iterations=iterations,
            frozen_steps=frozen_steps,
            queue_after=queue_after,
        )

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the unit embedding that is assigned."""
        return functional.normalize(self.projector(self.encoder(x)), dim=-1)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the cross-entropy of x's prediction under y's unbalanced assignment."""
        return self.pair(self.prototypes(self.embed(x)), self.prototypes(self.embed(y)))

    def terms(self, *views: Tensor) -> dict[str, Tensor]:
        """Return the swapped prediction, two whole views first, then crops."""
        embeddings = [self.embed(view) for view in views]
        head = frozen(self.prototypes) if self.step < self.frozen_steps else self.prototypes
        scores = [head(embedding) for embedding in embeddings]
        codes = [self._codes(i, scores[i]) for i in range(min(2, len(scores)))]
        for queue, embedding in zip(self.queues, embeddings, strict=False):
            queue.stage(embedding)  # pyright: ignore[reportCallIssue]
        return {self.objective.name: self.objective.predicted(scores, codes)}

    def _codes(self, view: int, scores: Tensor) -> Tensor:
        if not self.queues or self.progress < self.queue_after:
            return self.objective.codes(scores)
        # Every process balances its share of the queue, so that no row counts twice.
        rows: Tensor = self.queues[view].rows[distributed.rank() :: distributed.world()]  # pyright: ignore[reportAssignmentType, reportIndexIssue]
        return self.objective.codes(scores, self.prototypes(rows).detach())
