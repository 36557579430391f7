"""A 2-D energy on a grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import heatmap, scale
from ebm.landscape.bounds import Bounds, as_points, bounds_of, thinned
from ebm.landscape.evaluate import probe
from ebm.landscape.lattice import axes_of, on_grid, two_dimensional


@dataclass(frozen=True)
class Grid:
    """Energies on a grid: `values[j, i]` is the energy at `(x[i], y[j])`.

    For one scale over several grids, replace `low` and `high` with `dataclasses.replace`.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.floating]
    """Energies, (len(y), len(x)), NaN where they are not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""
    low: float
    """The energy with the darkest color."""
    high: float
    """The energy with the palest color; all above share it."""
    masked: int
    """How many energies are not finite."""

    @property
    def minimum(self) -> float:
        """The lowest energy on the grid, NaN if none is finite."""
        return float(np.nan if self.masked == self.values.size else np.nanmin(self.values))

    @property
    def maximum(self) -> float:
        """The highest energy on the grid, NaN if none is finite."""
        return float(np.nan if self.masked == self.values.size else np.nanmax(self.values))

    @property
    def lowest(self) -> tuple[float, float]:
        """The grid point of lowest energy."""
        values = np.where(np.isfinite(self.values), self.values, np.inf)
        j, i = np.unravel_index(int(values.argmin()), self.values.shape)
        return float(self.x[i]), float(self.y[j])

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where examples lie in the picture, (n, 2): where they are."""
        return as_points(x).cpu().double().numpy()

    def draw_on(self, ax: Any) -> None:
        """Draw the heat map with contours."""
        heatmap.draw(ax, self.x, self.y, self.values, self.low, self.high)


def grid(
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 100,
    *,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 65_536,
) -> Grid:
    """Return a 2-D energy on a grid, evaluated in batches, in eval mode, without gradients.

    The points of one batch exist at a time; only the energies are kept, 4 bytes each
    (8 where the energy is float64).

    >>> import ebm
    >>> ebm.landscape.grid(ebm.energies.Quadratic(), (-1, 1), 3).values.tolist()
    [[1.0, 0.5, 1.0], [0.5, 0.0, 0.5], [1.0, 0.5, 1.0]]

    Args:
        energy: Any callable of points, (batch, 2) -> (batch,).
        bounds: `(low, high)` of both axes, or `((x_low, x_high), (y_low, y_high))`; those
            of the data, padded, if None; -3 to 3 without data.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), whose energies set the color range.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: The energy is not one of points in the plane, does not return one number
            per point, depends on the rest of the batch or needs more than x.
    """
    points = None if data is None else as_points(data)
    ready = probe(energy, given, like=points)
    two_dimensional(ready)
    box = bounds_of(bounds, points)
    x, y = axes_of(box, resolution)
    values = on_grid(ready, x, y, batch_size)
    energies = None if points is None else ready.at(thinned(points), batch_size)
    low, high = scale.color_range(values, energies)
    return Grid(x, y, values, box, low, high, int(np.isnan(values).sum()))
