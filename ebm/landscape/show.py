"""Compute and draw in one call."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas
from ebm.landscape.bounds import as_examples
from ebm.landscape.draw import Landscape, draw
from ebm.landscape.grid import grid

DPI = 200


def show(
    energy: Energy | Callable[..., Tensor],
    data: Any = None,
    *,
    samples: Any = None,
    bounds: Any = None,
    resolution: int | None = None,
    given: Sequence[Tensor] = (),
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw an energy and return the figure; it appears where there is a screen.

    A 2-D energy becomes a heat map, of the region around the data, or of -3 to 3 on both
    axes without data. An energy of larger examples is drawn on the plane through the first
    three of the data, one of single numbers as a curve.
    """
    examples = None if data is None else as_examples(data)
    landscape: Landscape
    landscape = grid(energy, bounds, resolution or 150, data=examples, given=given)
    ax = draw(landscape, data=examples, samples=samples)
    if title is not None:
        ax.set_title(title, loc="left", fontsize=10)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        ax.figure.savefig(path, dpi=DPI)
    if canvas.on_screen():
        import matplotlib.pyplot as plt

        plt.show()
    return ax.figure
