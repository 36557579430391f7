"""DeepCluster (version 2).

Before each epoch the embeddings of the data are clustered; during it the network predicts
the clusters of its own examples. The centroids are the fixed weights of the classifier, so
that clusters need no matching from epoch to epoch, and several clusterings give several
heads.

    E(x, y) = mean over heads of -log softmax_k(C z_x / T) at k = argmax C z_y
    L = mean over views and heads of -log softmax_k(C z / T) at the example's cluster k

with z = projector(encoder(.)) on the sphere and C the centroids of spherical k-means.

Reference: Caron, Bojanowski, Joulin & Douze, "Deep clustering for unsupervised learning of
visual features", ECCV 2018, arXiv:1807.05520; version 2 in Caron et al., "SwAV", NeurIPS
2020, arXiv:2006.09882, section 4.2 and appendix.
Differs: the embeddings that are clustered are made anew before each epoch, from plain data in
evaluation mode, where the authors store those of the previous epoch's crops.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import Method, checks, distributed, networks
from ebm.energy import evaluating
from ebm.latent import clusters as lloyd
from ebm.shapes import Embeddings, Energies


class DeepCluster(Method):
    """Predict the clusters of one's own embeddings; `terms` takes views and indices.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is clustered.
        dim: Dimension of the embedding.
        examples: Number of examples in the data.
        clusters: Clusters of each head.
        temperature: Divides the cosines to the centroids.
        passes: Passes of k-means before each epoch.
    """

    assignments: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        dim: int,
        examples: int,
        clusters: tuple[int, ...] = (3000, 3000, 3000),
        temperature: float = 0.1,
        passes: int = 10,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.temperature = checks.positive("temperature", temperature)
        self.passes = checks.count("passes", passes)
        for i, count in enumerate(clusters):
            directions = networks.Prototypes(dim, checks.count("clusters", count)).weight.data
            self.register_buffer(f"centroids_{i}", directions)
        self.heads = len(clusters)
        shape = (self.heads, checks.count("examples", examples))
        self.register_buffer("assignments", torch.zeros(shape, dtype=torch.long))

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        clusters: tuple[int, ...] = (32, 32, 32),
        temperature: float = 0.1,
    ) -> "DeepCluster":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        projector = networks.Projector([features, features, dim])
        examples = len(data[0] if isinstance(data, tuple) else data)
        return cls(
            encoder,
            projector,
            dim=dim,
            examples=examples,
            clusters=tuple(min(count, examples) for count in clusters),
            temperature=temperature,
        )

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples or pairs with their indices, and two views of examples."""
        data, views = super().example_inputs(data)
        several = data if isinstance(data, tuple) else (data,)
        return (*several, torch.arange(len(several[0]))), views

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the unit embedding that is clustered."""
        return functional.normalize(self.projector(self.encoder(x)), dim=-1)

    def scores(self, x: Tensor) -> list[Tensor]:
        """Return the cosines to the centroids of each head over the temperature."""
        z = self.embed(x)
        return [z @ self._centroids(i).mT / self.temperature for i in range(self.heads)]

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the cross-entropy of x's prediction at the nearest clusters of y."""
        labels = [scores.argmax(1) for scores in self.scores(y)]
        return _cross_entropy(self.scores(x), labels)

    def terms(self, *views_and_indices: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy of views at their examples' clusters, one or more views."""
        *views, indices = views_and_indices
        labels = list(self.assignments[:, indices])
        values = [_cross_entropy(self.scores(view), labels) for view in views]
        return {"cluster": torch.stack(values).mean(0)}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Cluster the embeddings of the data, once for each head."""
        with evaluating(self):
            pieces = [(self.embed(batch[0]), batch[-1]) for batch in batches]
        z, indices = (torch.cat(piece) for piece in zip(*pieces, strict=True))
        places = distributed.everyone(indices)
        for i in range(self.heads):
            centroids = lloyd.plus_plus([(z,)], len(self._centroids(i)))
            for _ in range(self.passes):
                centroids = functional.normalize(lloyd.lloyd([(z,)], centroids)[0], dim=-1)
            self._centroids(i).copy_(centroids)
            labels = distributed.everyone(lloyd.nearest(z, centroids))
            self.assignments[i, places] = labels

    def _centroids(self, head: int) -> Tensor:
        return getattr(self, f"centroids_{head}")


def _cross_entropy(scores: list[Tensor], labels: list[Tensor]) -> Tensor:
    values = [
        functional.cross_entropy(s, k, reduction="none")
        for s, k in zip(scores, labels, strict=True)
    ]
    return torch.stack(values).mean(0)
