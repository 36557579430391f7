"""The terms of a sum of energies, each on the same grid: who shapes the surface where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import heatmap
from ebm.landscape.bounds import Bounds, as_points, bounds_of, thinned
from ebm.landscape.evaluate import probe
from ebm.landscape.lattice import axes_of, locations_on, two_dimensional


@dataclass(frozen=True)
class Breakdown:
    """Weighted terms on a grid; they add up to the energy."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    terms: dict[str, NDArray[np.floating]]
    """Each term by name, (len(y), len(x)), NaN where it is not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""
    high: float
    """How far above its lowest an energy has the palest color, on one scale for all."""

    @property
    def total(self) -> NDArray[np.floating]:
        """The energy: the sum of the terms."""
        return np.sum(list(self.terms.values()), axis=0)

    @property
    def size(self) -> tuple[float, float]:
        """Room for a panel each."""
        return 2.9 * (len(self.terms) + 1) + 0.8, 3.7

    def draw_on(self, ax: Any) -> None:
        """Draw every term and the sum, each above its own lowest, on one scale."""
        shown = {**self.terms, "sum": self.total} if len(self.terms) > 1 else self.terms
        heatmap.side_by_side(ax, self.x, self.y, shown, self.high)


def breakdown(
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 100,
    *,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 65_536,
) -> Breakdown:
    """Return the weighted parts of an energy on one grid.

    Args:
        energy: A sum of energies of points; any other energy is its own only term.
        bounds: As for `grid`.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), that set the bounds if there are none, and the color range.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `grid`; every term must be of its own example alone.
    """
    points = None if data is None else as_points(data)
    checks.count("batch_size", batch_size)
    ready = probe(energy, given, like=points)
    two_dimensional(ready)
    box = bounds_of(bounds, points)
    x, y = axes_of(box, resolution)
    found = ready.parts(locations_on(ready, x, y), len(x) * len(y), batch_size)
    terms = {name: values.reshape(len(y), len(x)) for name, values in found.items()}
    shown = {**terms, "sum": np.sum(list(terms.values()), axis=0)}
    energies = None
    if points is not None:
        few = ready.like(thinned(points))
        energies = ready.parts(lambda index: few[index], len(few), batch_size)
        energies["sum"] = np.sum(list(energies.values()), axis=0)
    return Breakdown(x, y, terms, box, heatmap.shared_range(shown, energies))
