"""The training examples nearest to samples: has the model learned, or memorized?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import evaluating
from ebm.landscape import canvas, mosaic
from ebm.landscape.bounds import as_examples

ROWS = 1_024
"""Training examples compared at once."""


@dataclass(frozen=True)
class NearestNeighbors:
    """Samples, and the examples nearest to each."""

    samples: NDArray[np.float64]
    """(n, *shape)."""
    neighbors: NDArray[np.float64]
    """(n, k, *shape), the nearest first."""
    indices: NDArray[np.int64]
    """Where they are in the data, (n, k)."""
    distances: NDArray[np.float64]
    """(n, k)."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for every picture."""
        return mosaic.size(len(self.samples), self.indices.shape[1] + 1)

    def draw_on(self, ax: Any) -> None:
        """Draw a row for each sample, its neighbors to the right."""
        words = [["sample", *(f"{d:.3g}" for d in row)] for row in self.distances]
        mosaic.draw(ax, np.concatenate([self.samples[:, None], self.neighbors], axis=1), words)
        canvas.caption(ax, "left: samples; then the nearest of the data, with their distance")


def nearest_neighbors(
    samples: Any, data: Any, k: int = 5, *, encode: Callable[[Tensor], Tensor] | None = None
) -> NearestNeighbors:
    """Return the examples of the data nearest to each sample.

    Args:
        samples: A few examples, (n, *shape).
        data: The training examples, (m, *shape).
        k: Neighbors of each.
        encode: Distances are taken between what it returns; between examples if None.

    Raises:
        ValueError: The shapes differ, or there are fewer than k examples.
    """
    x, data = as_examples(samples, "samples"), as_examples(data)
    checks.same_shape(x[0], data[0])
    if checks.count("k", k) > len(data):
        raise ValueError(f"k must be at most the {len(data)} examples of data, got k={k}.")
    encode = encode or torch.nn.Flatten()
    with torch.no_grad(), evaluating(encode):
        queries = encode(x).flatten(1).cpu().double()
        apart = torch.cat(
            [torch.cdist(queries, encode(r).flatten(1).cpu().double()) for r in data.split(ROWS)], 1
        )
    distances, indices = apart.topk(k, largest=False)
    found = data.cpu()[indices].double().numpy()
    return NearestNeighbors(x.cpu().double().numpy(), found, indices.numpy(), distances.numpy())
