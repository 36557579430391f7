"""The energy of every pair: low on the diagonal, where the two views belong together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, palette, square
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import pair_energies


@dataclass(frozen=True)
class PairMatrix:
    """Energies of all pairs: `values[i, j]` is E(x_i, y_j), sorted by class if there is one."""

    values: NDArray[np.floating]
    """(n, n), NaN where they are not finite."""
    labels: NDArray[np.int64] | None
    """The class of each row, rising, (n,); None without classes."""

    @property
    def ranks(self) -> NDArray[np.int64]:
        """How many others have less energy with x_i than its own y_i, (n,): 0 is best."""
        return (self.values < np.diagonal(self.values)[:, None]).sum(1)

    @property
    def retrieval(self) -> float:
        """The share of x whose own y has the lowest energy."""
        return float((self.ranks == 0).mean())

    def draw_on(self, ax: Any) -> None:
        """Draw the matrix, dark where low, with lines between classes."""
        square.positive(ax, self.values, "E")
        if self.labels is not None:
            for edge in np.flatnonzero(np.diff(self.labels)) + 0.5:
                ax.axhline(edge, color=palette.EDGE, linewidth=0.6)
                ax.axvline(edge, color=palette.EDGE, linewidth=0.6)
        canvas.caption(
            ax,
            f"rows x, columns y; the own y is the nearest of {len(self.values)} for "
            f"{self.retrieval:.0%}, median rank {np.median(self.ranks):.0f}",
        )


def pair_matrix(
    energy: Energy | Callable[..., Tensor],
    x: Any,
    y: Any,
    labels: Any = None,
    *,
    batch_size: int = 16_384,
) -> PairMatrix:
    """Return the energy of every x with every y.

    Args:
        energy: A pair energy, (x, y) -> (batch,), such as the `energy` of a joint embedding.
        x: Examples or embeddings, (n, *shape).
        y: Their other views, (n, *shape), in the same order.
        labels: Their classes, (n,), by which they are sorted.
        batch_size: Pairs evaluated at once.

    Raises:
        ValueError: There are not as many y as x, or the energy is not one number per pair.
    """
    x, y = as_examples(x, "x"), as_examples(y, "y")
    if len(x) != len(y):
        raise ValueError(
            f"y must be as many as x, {len(x)}, got {len(y)}. Give both views of each example."
        )
    classes = None
    if labels is not None:
        classes = torch.as_tensor(labels).detach().cpu().long()
        order = classes.argsort(stable=True)
        x, y, classes = x[order], y[order], classes[order].numpy()
    return PairMatrix(pair_energies(energy, x, y.to(x.dtype), batch_size), classes)
