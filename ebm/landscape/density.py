"""The density of a 2-D energy: p(x) = exp(-E(x) / T) / Z, normalized on the box that is drawn.

log Z = log sum_i a exp(-E(x_i) / T),    a the area of a cell, x_i its center
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, heatmap, palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of
from ebm.landscape.evaluate import probe
from ebm.landscape.lattice import centers_of, on_grid, two_dimensional


@dataclass(frozen=True)
class Density:
    """A density on a grid: `values[j, i]` is p at `(x[i], y[j])`, the center of a cell."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    """Densities, (len(y), len(x)), 0 where the energy is not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high)), outside of which there is no mass."""
    log_normalizer: float
    """log Z of exp(-E / temperature) on the box."""
    temperature: float
    """The temperature of the density."""
    masked: int
    """How many energies are not finite."""

    @property
    def area(self) -> float:
        """The area of a cell."""
        return float((self.x[1] - self.x[0]) * (self.y[1] - self.y[0]))

    @property
    def log_values(self) -> NDArray[np.float64]:
        """Log densities, -inf where there is no mass."""
        with np.errstate(divide="ignore"):
            return np.log(self.values)

    @property
    def marginals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The densities of the first coordinate, at `x`, and of the second, at `y`."""
        dx, dy = self.x[1] - self.x[0], self.y[1] - self.y[0]
        return self.values.sum(0) * dy, self.values.sum(1) * dx

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where examples lie in the picture, (n, 2): where they are."""
        return as_points(x).cpu().double().numpy()

    def draw_on(self, ax: Any) -> None:
        """Draw the density, dark where likely."""
        heatmap.bar(ax, self.paint(ax, float(self.values.max())), "p")
        hidden = f", {self.masked:,} of {self.values.size:,} not finite" if self.masked else ""
        words = f"T = {self.temperature:g}, log Z = {self.log_normalizer:.4g}{hidden}"
        canvas.caption(ax, f"{words}; normalized on this box")

    def paint(self, ax: Any, high: float) -> Any:
        """Draw the density alone, darkest at `high`, and return the image."""
        from matplotlib.colors import Normalize

        norm = Normalize(0, high or 1.0)
        return heatmap.picture(ax, self.x, self.y, self.values, cmap=palette.density(), norm=norm)


def density(
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 150,
    *,
    temperature: float = 1.0,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 65_536,
) -> Density:
    """Return the density exp(-E / temperature) / Z on a grid; its cells' masses sum to 1.

    It is exact once the box holds nearly all the mass and a cell is small against the
    energy's features.

    >>> import ebm
    >>> p = ebm.landscape.density(ebm.energies.Quadratic(), (-8, 8))
    >>> round(p.log_normalizer, 5)  # log 2 pi
    1.83788

    Args:
        energy: Any callable of points, (batch, 2) -> (batch,).
        bounds: As for `grid`.
        resolution: Cells per axis, or (x cells, y cells).
        temperature: What energies are divided by.
        data: Points, (n, 2), that set the bounds if there are none.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `grid`, and if no energy is finite.
    """
    checks.positive("temperature", temperature)
    points = None if data is None else as_points(data)
    ready = probe(energy, given, like=points)
    two_dimensional(ready)
    box = bounds_of(bounds, points)
    x, y = centers_of(box, resolution)
    energies = on_grid(ready, x, y, batch_size).astype(np.float64)
    masked = np.isnan(energies)
    if masked.all():
        raise ValueError(
            f"energy must be finite somewhere on {box}, got none of {energies.size:,}. "
            "Choose other bounds."
        )
    log = np.where(masked, -np.inf, -energies / temperature)
    area = (x[1] - x[0]) * (y[1] - y[0])
    top = log.max()
    log_normalizer = float(top + np.log(np.exp(log - top).sum() * area))
    values = np.exp(log - log_normalizer)
    return Density(x, y, values, box, log_normalizer, float(temperature), int(masked.sum()))
