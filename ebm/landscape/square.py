"""Draw a square matrix of signed numbers, or of energies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, heatmap, palette


def signed(ax: Any, matrix: NDArray[np.floating], high: float, name: str) -> None:
    """Draw a matrix around zero, blue below and orange above, with its color bar."""
    from matplotlib.colors import Normalize

    _draw(ax, matrix, palette.signed(), Normalize(-high, high), name)


def positive(ax: Any, matrix: NDArray[np.floating], name: str) -> None:
    """Draw a matrix of energies, dark where low, with its color bar."""
    from matplotlib.colors import Normalize

    low, high = np.nanquantile(matrix, [0.0, 0.98]) if np.isfinite(matrix).any() else (0, 1)
    _draw(ax, matrix, palette.field(), Normalize(low, high if high > low else low + 1), name)


def _draw(ax: Any, matrix: NDArray[np.floating], cmap: Any, norm: Any, name: str) -> None:
    shown = np.ma.masked_invalid(matrix)
    image = ax.imshow(shown, cmap=cmap, norm=norm, interpolation="nearest", aspect="equal")
    heatmap.bar(ax, image, name)
    canvas.bare(ax)
