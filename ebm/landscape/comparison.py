"""Several energies side by side, on one grid and one color scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, heatmap, palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of, thinned
from ebm.landscape.grid import grid


@dataclass(frozen=True)
class Comparison:
    """Energies on one grid, each known up to a constant: they are drawn above their lowest."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: dict[str, NDArray[np.floating]]
    """Each energy by name, (len(y), len(x)), NaN where it is not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""
    high: float
    """How far above its lowest an energy has the palest color, on one scale for all."""
    points: NDArray[np.float64] | None
    """Some of the data, (n, 2), drawn on every panel."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for a panel each."""
        return 3.1 * len(self.values) + 0.8, 3.8

    def draw_on(self, ax: Any) -> None:
        """Draw the energies next to one another."""
        for panel in heatmap.side_by_side(ax, self.x, self.y, self.values, self.high):
            if self.points is not None:
                dots = {"s": 5, "c": palette.DATA, "edgecolors": palette.EDGE, "linewidths": 0.3}
                panel.scatter(*self.points.T, zorder=3, **dots)
                panel.set_xlim(self.x[0], self.x[-1])
                panel.set_ylim(self.y[0], self.y[-1])
                canvas.bare(panel)


def comparison(
    energies: Mapping[str, Energy | Callable[..., Tensor]],
    bounds: Any = None,
    resolution: int | Sequence[int] = 100,
    *,
    data: Any = None,
    batch_size: int = 65_536,
) -> Comparison:
    """Return several energies on one grid, with one scale for all of them.

    Args:
        energies: Energies of points by name, such as `{"before": a, "after": b}`.
        bounds: As for `grid`.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), that set the bounds if there are none, and the color range.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: There is no energy, or as for `grid`.
    """
    if not energies:
        raise ValueError("energies must hold at least one, got none. Pass {'ring': Ring()}.")
    points = None if data is None else as_points(data)
    box = bounds_of(bounds, points)
    found = {
        name: grid(energy, box, resolution, data=data, batch_size=batch_size)
        for name, energy in energies.items()
    }
    values = {name: g.values for name, g in found.items()}
    # Each grid's own range already knows the data; the widest of them serves all.
    tops = [g.high - g.minimum for g in found.values() if np.isfinite(g.minimum)]
    high = max([top for top in tops if top > 0], default=1.0)
    shown = None if points is None else thinned(points)[:: -(-len(points) // 500)]
    dots = None if shown is None else shown.cpu().double().numpy()
    first = next(iter(found.values()))
    return Comparison(first.x, first.y, values, box, high, dots)
