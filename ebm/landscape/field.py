"""The score field -dE/dx of a 2-D energy: where noise-free chains go from each point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of
from ebm.landscape.evaluate import probe
from ebm.landscape.lattice import centers_of, locations_on, two_dimensional


@dataclass(frozen=True)
class Field:
    """Scores on a grid: `scores[j, i]` is -dE/dx at `(x[i], y[j])`."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    scores: NDArray[np.floating]
    """(len(y), len(x), 2), NaN where they are not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""
    masked: int
    """How many scores are not finite."""

    @property
    def lengths(self) -> NDArray[np.floating]:
        """The norm of each score."""
        return np.linalg.norm(self.scores, axis=-1)

    def draw_on(self, ax: Any) -> None:
        """Draw arrows whose length is the cube root of the score's, so that small ones are seen."""
        cell = min(self.x[1] - self.x[0], self.y[1] - self.y[0])
        lengths = self.lengths
        finite = lengths[np.isfinite(lengths)]
        longest = finite.max(initial=0.0) or 1.0
        shown = 0.9 * cell * np.cbrt(lengths / longest)
        arrows = self.scores * (shown / np.where(lengths > 0, lengths, 1))[..., None]
        ax.quiver(
            *np.meshgrid(self.x, self.y),
            arrows[..., 0],
            arrows[..., 1],
            angles="xy",
            scale_units="xy",
            scale=1,
            pivot="mid",
            width=0.0032,
            headwidth=3.4,
            headlength=3.6,
            headaxislength=3.2,
            color=palette.INK,
            edgecolor=palette.EDGE,
            linewidth=0.35,
            zorder=2.5,
        )
        ax.set_aspect("equal")
        canvas.bare(ax)
        words = f"|score| from {finite.min():.3g} to {finite.max():.3g}" if finite.size else ""
        hidden = f", {self.masked:,} not finite" if self.masked else ""
        canvas.caption(ax, f"{words}, arrows by its cube root{hidden}")


def field(
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 20,
    *,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 65_536,
) -> Field:
    """Return the score -dE/dx of a 2-D energy on a coarse grid, in eval mode.

    Arrows stand at the centers of the cells, so that they keep clear of the frame.

    Args:
        energy: Any callable of points, (batch, 2) -> (batch,), differentiable in x.
        bounds: As for `grid`.
        resolution: Arrows per axis, or (x arrows, y arrows).
        data: Points, (n, 2), that set the bounds if there are none.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `grid`, and if the energy has no gradient in x.
    """
    points = None if data is None else as_points(data)
    checks.count("batch_size", batch_size)
    ready = probe(energy, given, like=points)
    two_dimensional(ready)
    box = bounds_of(bounds, points)
    x, y = centers_of(box, resolution)
    scores = ready.scores(locations_on(ready, x, y), len(x) * len(y), batch_size)
    masked = int(np.isnan(scores).any(-1).sum())
    return Field(x, y, scores.reshape(len(y), len(x), 2), box, masked)
