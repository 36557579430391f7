"""The path of a representation in the plane of alignment and uniformity.

    alignment = mean |z_i - z'_i|^2,    uniformity = log mean exp(-2 |z_i - z_j|^2)

on the sphere, both better when lower. Collapse is perfect alignment at uniformity 0; a good
representation moves down at the left.

Reference: Wang & Isola, "Understanding contrastive representation learning through alignment
and uniformity on the hypersphere", ICML 2020, arXiv:2005.10242, figure 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples


@dataclass(frozen=True)
class AlignmentUniformity:
    """Where a representation was in the plane, one point for each time."""

    steps: NDArray[np.int64]
    """Training steps, (k,)."""
    alignment: NDArray[np.float64]
    """(k,), 0 to 4."""
    uniformity: NDArray[np.float64]
    """(k,), 0 at collapse."""

    def draw_on(self, ax: Any) -> None:
        """Draw the path from its ring to its dot, collapse in the upper left corner."""
        ax.plot(self.alignment, self.uniformity, color=palette.PATHS, linewidth=1.4, zorder=2)
        ring = {"s": 34, "edgecolors": palette.PATHS, "linewidths": 1.4, "zorder": 3}
        ax.scatter(self.alignment, self.uniformity, s=9, c=palette.PATHS, zorder=2.5)
        ax.scatter(self.alignment[:1], self.uniformity[:1], c=palette.EDGE, **ring)
        ax.scatter(self.alignment[-1:], self.uniformity[-1:], c=palette.PATHS, **ring)
        for k in {0, len(self.steps) - 1}:
            place = {"xytext": (6, 6), "textcoords": "offset points", "fontsize": 8}
            ax.annotate(f"step {self.steps[k]}", (self.alignment[k], self.uniformity[k]), **place)
        ax.scatter([0], [0], marker="x", c=palette.INK, s=30, zorder=3)
        ax.annotate("collapse", (0, 0), xytext=(6, -9), textcoords="offset points", fontsize=8)
        canvas.ruled(ax, "uniformity")
        canvas.caption(ax, "alignment, to the right: views of one example lie farther apart")


def alignment_uniformity(
    pairs: Sequence[tuple[Any, Any]], steps: Sequence[int] | None = None
) -> AlignmentUniformity:
    """Return the path of a representation, given the embeddings of two views over training.

    Args:
        pairs: Embeddings of both views at each time, [(x, y), ...], (n, dim) each.
        steps: The training steps; counted from 0 if None.

    Raises:
        ValueError: There is no pair, or the embeddings are no matrices of one shape.
    """
    from ebm.evaluation import sphere

    at = list(range(len(pairs)) if steps is None else steps)
    if not len(pairs) or len(at) != len(pairs):
        raise ValueError(
            f"pairs must be as many as steps, at least one, got {len(pairs)} and {len(at)}. "
            "Pass [(x, y)] for one look."
        )
    views = [(as_examples(x, "x"), as_examples(y, "y")) for x, y in pairs]
    aligned = np.array([sphere.alignment(x, y) for x, y in views])
    uniform = np.array([(sphere.uniformity(x) + sphere.uniformity(y)) / 2 for x, y in views])
    return AlignmentUniformity(np.asarray(at), aligned, uniform)
