"""Draw rows and columns of pictures as one image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette, thumbnails

GAP = 0.12
"""Between pictures, as a share of their width."""

ROOM = 0.26
"""For words below a picture, as a share of its height."""


def draw(
    ax: Any,
    examples: NDArray[np.floating],
    words: Sequence[Sequence[str]] | None = None,
    *,
    limits: tuple[float, float] | None = None,
    cmap: Any = "gray",
) -> None:
    """Draw examples, (rows, columns, *shape), with words below each.

    Args:
        ax: Axes to draw on.
        examples: Pictures, rows of a square picture, or vectors, which become a strip.
        words: Lines of words, (rows, columns).
        limits: What is black and what is white; the extremes if None.
        cmap: Colors of gray pictures.
    """
    pictures = [[_picture(x) for x in row] for row in np.asarray(examples, np.float64)]
    high, wide = pictures[0][0].shape[:2]
    gap = max(1, round(GAP * wide))
    below = gap if words is None else max(2, round(ROOM * high))
    depth = pictures[0][0].shape[2:]
    rows, columns = len(pictures), len(pictures[0])
    whole = np.full((rows * (high + below) - below, columns * (wide + gap) - gap, *depth), np.nan)
    for j, row in enumerate(pictures):
        for i, picture in enumerate(row):
            top, left = j * (high + below), i * (wide + gap)
            whole[top : top + high, left : left + wide] = picture
            if words is not None and words[j][i]:
                place = {"ha": "center", "va": "top", "fontsize": 7, "color": palette.INK}
                ax.text(left + wide / 2 - 0.5, top + high - 0.3, words[j][i], **place)
    low, top_value = limits or (np.nanmin(whole), np.nanmax(whole))
    if depth:
        shown = np.clip((whole - low) / ((top_value - low) or 1.0), 0, 1)
        ax.imshow(np.nan_to_num(shown, nan=1.0), interpolation="nearest")
    else:
        import matplotlib

        colors = matplotlib.colormaps[cmap] if isinstance(cmap, str) else cmap
        colors = colors.with_extremes(bad=palette.EDGE)
        style = {"cmap": colors, "vmin": low, "vmax": top_value, "interpolation": "nearest"}
        ax.imshow(np.ma.masked_invalid(whole), **style)
    if words is not None:
        ax.set_ylim(whole.shape[0] + below - 0.5, -0.5)
    canvas.blank(ax)


def as_rows(examples: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Return the examples in rows, the last filled up with nothing."""
    rows = -(-len(examples) // columns)
    empty = np.full((rows * columns - len(examples), *examples.shape[1:]), np.nan)
    whole = np.concatenate([examples, empty])
    return whole.reshape(rows, columns, *examples.shape[1:])


def size(rows: int, columns: int, inch: float = 0.72) -> tuple[float, float]:
    """Return the inches that a mosaic needs."""
    return max(3.0, inch * columns + 0.5), max(1.2, inch * 1.15 * rows + 0.6)


def _picture(example: NDArray[np.float64]) -> NDArray[np.float64]:
    found = thumbnails.picture(example)
    return example.reshape(1, -1) if found is None else found
