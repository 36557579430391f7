"""The standard deviation of each dimension: those at zero have collapsed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples


@dataclass(frozen=True)
class Spread:
    """Deviations of the dimensions of embeddings."""

    values: NDArray[np.float64]
    """Standard deviation of each dimension, with the divisor n - 1, (dim,)."""
    target: float
    """What each should reach: VICReg's hinge is at 1."""
    size = (6.0, 3.2)

    @property
    def dead(self) -> int:
        """How many dimensions spread over less than a hundredth of the target."""
        return int((self.values < 0.01 * self.target).sum())

    def draw_on(self, ax: Any) -> None:
        """Draw the deviations, falling, under the line of the target."""
        falling = np.sort(self.values)[::-1]
        ax.fill_between(np.arange(len(falling)), falling, step="mid", color=palette.LINES[0], lw=0)
        ax.axhline(self.target, color=palette.DATA, linewidth=1.4)
        ax.set_xlim(-0.5, len(falling) - 0.5)
        ax.set_ylim(0, 1.1 * max(self.target, float(falling[0])))
        canvas.ruled(ax, "standard deviation")
        words = f"{(self.values >= self.target).sum()} of {len(falling)} dimensions reach the line"
        canvas.caption(ax, f"{words}, {self.dead} are dead; dimensions in falling order")


def spread(z: Any, *, target: float = 1.0) -> Spread:
    """Return the standard deviation of each dimension of embeddings.

    Args:
        z: Embeddings, (n, dim).
        target: What each should reach.

    Raises:
        ValueError: The embeddings are no matrix with 2 rows or more.
    """
    x = as_examples(z, "z")
    checks.embeddings(x, least=2, user="a deviation")
    return Spread(x.cpu().double().std(0).numpy(), checks.positive("target", target))
