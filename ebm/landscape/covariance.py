"""The covariance of the dimensions of embeddings: diagonal is what VICReg wants."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, square
from ebm.landscape.bounds import as_examples


@dataclass(frozen=True)
class Covariance:
    """Covariances of dimensions over the batch."""

    values: NDArray[np.float64]
    """(dim, dim), of the divisor n - 1."""

    @property
    def variances(self) -> NDArray[np.float64]:
        """Of each dimension, (dim,)."""
        return np.diagonal(self.values)

    @property
    def redundancy(self) -> float:
        """The sum of the squares off the diagonal over dim: VICReg's covariance term."""
        off = (self.values**2).sum() - (self.variances**2).sum()
        return float(off / len(self.values))

    def draw_on(self, ax: Any) -> None:
        """Draw the matrix, blue below zero and orange above."""
        square.signed(ax, self.values, float(np.abs(self.values).max()) or 1.0, "cov")
        words = f"variances {self.variances.min():.2g} to {self.variances.max():.2g}"
        canvas.caption(ax, f"{words}; squares off the diagonal per dimension {self.redundancy:.3g}")


def covariance(z: Any) -> Covariance:
    """Return the covariances of the dimensions of embeddings, (n, dim).

    Raises:
        ValueError: The embeddings are no matrix with 2 rows or more.
    """
    x = as_examples(z, "z")
    checks.embeddings(x, least=2, user="a covariance")
    centered = x.cpu().double() - x.cpu().double().mean(0)
    return Covariance((centered.T @ centered / (len(x) - 1)).numpy())
