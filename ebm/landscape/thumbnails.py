"""Draw the three examples that span a plane: pictures as pictures, others by their letter."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import palette

SIDE = 46
"""Pixels of a thumbnail's longer side, in points."""


def draw(ax: Any, examples: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
    """Draw a dot where each example lies, and the example beside it, away from the others."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea

    low, high = float(examples.min()), float(examples.max())
    center = positions.mean(0)
    ax.scatter(*positions.T, s=26, c=palette.DATA, edgecolors=palette.EDGE, linewidths=1, zorder=4)
    for letter, example, position in zip("abc", examples, positions, strict=True):
        shown = picture((example - low) / ((high - low) or 1.0))
        away = (position - center) / (np.linalg.norm(position - center) or 1.0)
        if shown is None:
            style = {"size": 9, "color": palette.INK, "weight": "bold"}
            content, reach = TextArea(letter, textprops=style), 16
        else:
            zoom = SIDE / max(shown.shape[:2])
            content = OffsetImage(shown, zoom=zoom, cmap="gray", interpolation="nearest")
            content.image.set_clim(0, 1)
            reach = 0.75 * SIDE
        ax.add_artist(
            AnnotationBbox(
                content,
                tuple(position),
                xybox=tuple(reach * away),
                boxcoords="offset points",
                pad=0.12,
                bboxprops={"edgecolor": palette.EDGE, "facecolor": palette.EDGE, "linewidth": 1},
                arrowprops={"arrowstyle": "-", "color": palette.EDGE, "linewidth": 1},
                zorder=3.5,
            )
        )


def picture(example: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the example as rows and columns, or with colors last, or None if it is none.

    Pictures are (channels, height, width) with 1 or 3 channels, (height, width), or the
    numbers of a square gray picture in a row.
    """
    if example.ndim == 3 and example.shape[0] in (1, 3):
        return example[0] if example.shape[0] == 1 else example.transpose(1, 2, 0)
    if example.ndim == 2 and min(example.shape) >= 4:
        return example
    side = math.isqrt(example.size)
    if example.ndim == 1 and side >= 6 and side * side == example.size:
        return example.reshape(side, side)
    return None
