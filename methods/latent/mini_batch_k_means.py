"""Mini-batch k-means.

k-means for data that are too many to pass over often: centers move after every small batch,
each toward the mean of all examples that it has ever owned. It is stochastic gradient descent
on the energy with a step of its own, 1 / count, for each center.

    F(x) = min_k |x - w_k|^2        w_k <- w_k + sum of (x - w_k) in the batch / count_k

Reference: Bottou & Bengio, "Convergence properties of the k-means algorithms", NIPS 1994;
Sculley, "Web-scale k-means clustering", WWW 2010.
Differs: starts by k-means++ on the first batches; centers that own nothing stay.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ebm import Method, checks, distributed
from ebm.latent.clusters import nearest, plus_plus, squared_distance
from ebm.memory import late_buffer
from ebm.shapes import Energies, Labels


class MiniBatchKMeans(Method):
    """Centers that move after every few rows.

    It has no trainable parameters: each step of `fit` is one pass over the data. Unlike
    Lloyd's passes these may raise the distance, and `fit` stops at the first that does.

    Args:
        clusters: Number of centers.
        rows: Rows in a mini-batch, on each process.
    """

    centers: Tensor
    counts: Tensor

    def __init__(self, clusters: int, *, rows: int = 1024) -> None:
        super().__init__()
        self.clusters, self.rows = checks.count("clusters", clusters), checks.count("rows", rows)
        late_buffer(self, "centers")
        self.register_buffer("counts", torch.zeros(clusters))

    @classmethod
    def example(cls, data: Tensor, *, clusters: int = 16, rows: int = 256) -> "MiniBatchKMeans":
        """Return a small instance for data of any shape."""
        return cls(min(clusters, len(data)), rows=rows)

    def infer(self, x: Tensor) -> Labels:
        """Return the index of the nearest center of each example."""
        return nearest(x.flatten(1), self._ready())

    def energy(self, x: Tensor) -> Energies:
        """Return the squared distance to the nearest center."""
        return squared_distance(x.flatten(1), self._ready())

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"distance": self.energy(x)}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """Make one pass; return the mean distance of rows to the centers that they met."""
        if self.centers.numel() == 0:
            first = next(iter(batches))[0].flatten(1)
            start = first[: max(4 * self.rows, 8 * self.clusters)]
            self.centers = plus_plus([(start,)], self.clusters)
        total = count = torch.zeros((), dtype=torch.float64)
        for x, *_ in batches:
            for part in self._parts(x.flatten(1)):
                labels = nearest(part, self.centers)
                offsets = part - self.centers[labels]
                sums = torch.zeros_like(self.centers).index_add_(0, labels, offsets)
                owned = torch.bincount(labels, minlength=self.clusters).to(self.counts)
                sums, owned = distributed.total(sums), distributed.total(owned)
                self.counts += owned
                self.centers += sums / self.counts.clamp(min=1)[:, None].to(sums.dtype)
                total = total + offsets.square().sum().cpu()
                count = count + len(part)
        both = distributed.total(torch.stack([total, count]).to(self.centers.device))
        return {"distance": both[0] / both[1]}

    def _parts(self, x: Tensor) -> Iterator[Tensor]:
        """Yield this process's share of each mini-batch, as many on every process."""
        rows = max(1, self.rows // distributed.world())
        count = int(distributed.largest(torch.tensor(-(-len(x) // rows), device=x.device)))
        for i in range(count):
            yield x[i * rows : (i + 1) * rows]

    def _ready(self) -> Tensor:
        if self.centers.numel() == 0:
            raise ValueError(
                "centers must come from data first, got none. Call ebm.fit(method, data)."
            )
        return self.centers
