"""k-means.

The latent picks one of a few centers: the energy is low only near them, so the volume of
low energy is bounded by the architecture and nothing needs to be pushed up. Lloyd's passes
assign each example to its nearest center and move each center to the mean of its examples;
neither can raise the mean energy.

    E(x, z) = |x - W z|^2, z one-hot        F(x) = min_k |x - w_k|^2        L = mean F

Reference: Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information
Theory 28(2), 1982; Arthur & Vassilvitskii, SODA 2007 (the k-means++ start).
Differs: an empty cluster takes the farthest example, as in scikit-learn.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import Method, checks
from ebm.latent import clusters as lloyd
from ebm.memory import late_buffer
from ebm.shapes import Energies, Labels


class KMeans(Method):
    """Centers, and the squared distance to the nearest one.

    It has no trainable parameters: each step of `fit` is one exact pass over the data, and
    the run ends at the first pass that no longer lowers the distance.

    Args:
        clusters: Number of centers.
        start: Centers to start from, (clusters, *shape); drawn by k-means++ if None.
        tolerance: Relative improvement of a pass below which `fit` stops.
    """

    centers: Tensor

    def __init__(
        self, clusters: int, *, start: Tensor | None = None, tolerance: float = 0.0
    ) -> None:
        super().__init__()
        self.clusters = checks.count("clusters", clusters)
        self.tolerance = checks.not_negative("tolerance", tolerance)
        late_buffer(self, "centers")
        if start is not None:
            checks.configurations("start", start)
            if len(start) != clusters:
                raise ValueError(
                    f"start must have one row for each cluster, got shape {tuple(start.shape)} "
                    f"and clusters={clusters}. Pass {clusters} rows."
                )
            self.centers = start.detach().clone()

    @classmethod
    def example(cls, data: Tensor, *, clusters: int = 16, tolerance: float = 0.0) -> "KMeans":
        """Return a small instance for data of any shape."""
        return cls(min(clusters, len(data)), tolerance=tolerance)

    def infer(self, x: Tensor) -> Labels:
        """Return the index of the nearest center of each example."""
        return lloyd.nearest(x.flatten(1), self._centers(x))

    def energy(self, x: Tensor) -> Energies:
        """Return the squared distance to the nearest center."""
        return lloyd.squared_distance(x.flatten(1), self._centers(x))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"distance": self.energy(x)}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """Make one pass of Lloyd's; return the mean distance before the centers moved."""
        x = next(iter(batches))[0]
        if self.centers.numel() == 0:
            self.centers = lloyd.plus_plus(batches, self.clusters).unflatten(1, x.shape[1:])
        centers, distance = lloyd.lloyd(batches, self._centers(x))
        self.centers = centers.view_as(self.centers)
        return {"distance": distance}

    def _centers(self, x: Tensor) -> Tensor:
        if self.centers.numel() == 0:
            raise ValueError(
                "centers must come from data first, got none. "
                "Call ebm.fit(method, data), or pass KMeans(clusters, start=rows)."
            )
        if self.centers.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"x must be shaped like the centers, (batch, {tuple(self.centers.shape[1:])}), "
                f"got {tuple(x.shape)}. Use a new KMeans for other data."
            )
        return self.centers.flatten(1)
