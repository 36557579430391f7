"""Draw a score field as streamlines: the paths that noise-free chains follow."""

from typing import Any

import numpy as np

from ebm.landscape import canvas, heatmap, palette
from ebm.landscape.field import Field


def draw_streamlines(field: Field, ax: Any = None, *, density: float = 1.2) -> Any:
    """Draw the lines along the score and return the axes; darker where it is longer.

    Args:
        field: What `field` computed; the finer its grid, the truer the lines.
        ax: Axes to draw on; new ones if None.
        density: How close lines lie; 1 is about thirty on each side.
    """
    ax = canvas.axes() if ax is None else ax
    lengths = np.log1p(field.lengths)
    found = ax.streamplot(
        field.x,
        field.y,
        np.nan_to_num(field.scores[..., 0]),
        np.nan_to_num(field.scores[..., 1]),
        color=np.nan_to_num(lengths),
        cmap=palette.density(),
        density=density,
        linewidth=0.9,
        arrowsize=0.8,
    )
    ax.set_xlim(*field.bounds[0])
    ax.set_ylim(*field.bounds[1])
    ax.set_aspect("equal")
    canvas.bare(ax)
    top = float(np.nanmax(field.lengths, initial=0.0))
    round_ = [value for value in (0, 0.3, 1, 3, 10, 30, 100, 300, 1_000) if value <= top]
    heatmap.bar(ax, found.lines, "|score|", np.log1p(round_), [f"{value:g}" for value in round_])
    return ax
