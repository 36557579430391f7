"""SeLA: self-labeling by optimal transport.

Before each epoch every example gets the label that the classifier finds most likely, under
the constraint that all labels are used equally often: an optimal transport problem over the
whole data set, solved by Sinkhorn's iteration. During the epoch the network learns these
labels as if they were given.

    E(x, y) = mean over heads of -log P(k | x) at k = argmax P(. | y)
    L = mean over heads of -log P(label | x),    labels = argmax Sinkhorn(P^power)

Reference: Asano, Rupprecht & Vedaldi, "Self-labelling via simultaneous clustering and
representation learning", ICLR 2020, arXiv:1911.05371, eqs. 2 to 6.
Differs: labels are made anew before every epoch, where the authors spread a fixed number of
times over the run, more densely at its start; Sinkhorn's iteration runs a fixed number of
times.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import Method, checks, distributed, networks
from ebm.energy import evaluating
from ebm.shapes import Embeddings, Energies, Labels
from ebm.terms import sinkhorn


class SeLA(Method):
    """Learn labels that one's own classifier gives under equal use; `terms` takes indices.

    Args:
        encoder: Makes the representation that is kept.
        heads: Classifiers on top of it, each with labels of its own.
        examples: Number of examples in the data.
        power: Sharpness of the transport, lambda in the paper.
        iterations: Sinkhorn iterations.
    """

    assignments: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *heads: nn.Module,
        examples: int,
        power: float = 25.0,
        iterations: int = 100,
    ) -> None:
        super().__init__()
        if not heads:
            raise ValueError("heads must be at least one, got none. Pass nn.Linear(features, k).")
        self.encoder, self.heads = encoder, nn.ModuleList(heads)
        self.power = checks.positive("power", power)
        self.iterations = checks.count("iterations", iterations)
        shape = (len(heads), checks.count("examples", examples))
        self.register_buffer("assignments", torch.zeros(shape, dtype=torch.long))

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        labels: int = 32,
        heads: int = 3,
        power: float = 25.0,
    ) -> "SeLA":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        classifiers = [nn.Linear(features, labels) for _ in range(heads)]
        examples = len(data[0] if isinstance(data, tuple) else data)
        return cls(encoder, *classifiers, examples=examples, power=power)

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples with their indices, and one view of each."""
        from ebm import views

        x = data[0] if isinstance(data, tuple) else data
        return (x, torch.arange(len(x))), views.Single(views.pair(x).view)

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def scores(self, x: Tensor) -> list[Tensor]:
        """Return the logits of each head."""
        features = self.encoder(x)
        return [head(features) for head in self.heads]

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the cross-entropy of x's prediction at the likeliest labels of y."""
        return _cross_entropy(self.scores(x), [scores.argmax(1) for scores in self.scores(y)])

    def terms(self, x: Tensor, indices: Labels) -> dict[str, Tensor]:
        """Return the cross-entropy of each example at its labels."""
        return {"label": _cross_entropy(self.scores(x), list(self.assignments[:, indices]))}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Label the data, once for each head."""
        with evaluating(self):
            pieces = [(batch[-1], *self.scores(batch[0])) for batch in batches]
        indices, *scores = (torch.cat(piece) for piece in zip(*pieces, strict=True))
        places = distributed.everyone(indices)
        for i, logits in enumerate(scores):
            likely = functional.log_softmax(logits.double(), dim=1)
            plan = sinkhorn(likely, epsilon=1 / self.power, iterations=self.iterations)
            self.assignments[i, places] = distributed.everyone(plan.argmax(1))


def _cross_entropy(scores: list[Tensor], labels: list[Tensor]) -> Tensor:
    values = [
        functional.cross_entropy(s, k, reduction="none")
        for s, k in zip(scores, labels, strict=True)
    ]
    return torch.stack(values).mean(0)
