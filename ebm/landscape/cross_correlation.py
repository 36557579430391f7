"""The correlation of the dimensions of two views: the identity is what Barlow Twins wants."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, square
from ebm.landscape.bounds import as_examples


@dataclass(frozen=True)
class CrossCorrelation:
    """Correlations over the batch: `values[i, j]` of x's dimension i with y's dimension j."""

    values: NDArray[np.float64]
    """(dim, dim), -1 to 1; 0 where a dimension is constant."""

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """How far the two views agree on each dimension, (dim,)."""
        return np.diagonal(self.values)

    @property
    def off_diagonal(self) -> NDArray[np.float64]:
        """How far dimensions say the same, (dim (dim - 1),)."""
        return self.values[~np.eye(len(self.values), dtype=bool)]

    def draw_on(self, ax: Any) -> None:
        """Draw the matrix, blue below zero and orange above."""
        square.signed(ax, self.values, 1.0, "c")
        redundant = np.abs(self.off_diagonal).mean() if len(self.values) > 1 else 0.0
        canvas.caption(
            ax,
            f"mean on the diagonal {self.diagonal.mean():.2f} (views agree at 1), mean size off "
            f"it {redundant:.2f} (nothing said twice at 0)",
        )


def cross_correlation(x: Any, y: Any = None) -> CrossCorrelation:
    """Return the correlations of the dimensions of two views.

    Args:
        x: Embeddings of one view, (n, dim).
        y: Embeddings of the other, in the same order; x itself if None.

    Raises:
        ValueError: The embeddings are no matrices of one shape with 2 rows or more.
    """
    x = as_examples(x, "x")
    y = x if y is None else as_examples(y, "y")
    checks.embeddings(x, y, least=2, user="a correlation")
    first, second = (z.cpu().double() - z.cpu().double().mean(0) for z in (x, y))
    tiny = 1e-12
    scale = first.norm(dim=0)[:, None] * second.norm(dim=0)
    values = (first.T @ second / scale.clamp(min=tiny)).where(scale > tiny, 0.0)
    return CrossCorrelation(values.numpy())
