"""The wells of several energies: which one is lowest, and what share each takes.

    r_k(x) = exp(-E_k(x) / T) / sum_j exp(-E_j(x) / T),    F_T(x) = -T log sum_k exp(-E_k(x) / T)

At temperature 0 the share is all of the lowest: the Voronoi cells of k-means, F = min_k E_k.
At 1, with the energies of a mixture's components, it is their responsibility.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, heatmap, palette, scale
from ebm.landscape.bounds import Bounds, as_points, bounds_of
from ebm.landscape.grid import grid


@dataclass(frozen=True)
class Wells:
    """Energies of several wells on one grid."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    energies: NDArray[np.floating]
    """Energy of each well, (wells, len(y), len(x)), NaN where it is not finite."""
    temperature: float
    """0 gives all to the lowest."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""

    @property
    def lowest(self) -> NDArray[np.int64]:
        """The number of the lowest well, (len(y), len(x))."""
        return np.argmin(np.nan_to_num(self.energies, nan=np.inf), axis=0)

    @property
    def responsibilities(self) -> NDArray[np.float64]:
        """The share of each well, (wells, len(y), len(x)); they sum to 1."""
        if self.temperature == 0:
            return (np.arange(len(self.energies))[:, None, None] == self.lowest).astype(np.float64)
        weights = np.exp(-self._above() / self.temperature)
        return weights / weights.sum(0)

    @property
    def values(self) -> NDArray[np.float64]:
        """The free energy of all wells, (len(y), len(x))."""
        low = np.nanmin(self.energies, axis=0).astype(np.float64)
        if self.temperature == 0:
            return low
        heat = self.temperature
        return low - heat * np.log(np.exp(-self._above() / heat).sum(0))

    def _above(self) -> NDArray[np.float64]:
        energies = np.nan_to_num(self.energies.astype(np.float64), nan=np.inf)
        return energies - energies.min(0)

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where examples lie in the picture, (n, 2): where they are."""
        return as_points(x).cpu().double().numpy()

    def draw_on(self, ax: Any) -> None:
        """Draw a color for each well, mixed by its share and stronger where F is low."""
        from matplotlib.colors import to_rgb

        wheel = np.array([to_rgb(palette.color(k)) for k in range(len(self.energies))])
        own = np.tensordot(self.responsibilities, wheel, axes=(0, 0))
        low, high = scale.color_range(self.values)
        strength = (0.9 - 0.7 * scale.compressed(self.values, low, high))[..., None]
        heatmap.picture(ax, self.x, self.y, 1 - strength * (1 - own))
        levels = scale.expanded(np.linspace(0, 1, 10)[1:-1], low, high)
        lines = {"colors": [(0.1, 0.2, 0.35, 0.3)], "linewidths": 0.5}
        if np.ptp(self.values) > 0:
            ax.contour(self.x, self.y, self.values, levels=levels, **lines)
        shares = "the lowest well's" if self.temperature == 0 else "mixed by responsibility"
        words = f"{len(self.energies)} wells at T = {self.temperature:g}; colors {shares}"
        canvas.caption(ax, f"{words}, contours of F")


def wells(
    energies: Sequence[Energy | Callable[..., Tensor]],
    bounds: Any = None,
    resolution: int | Sequence[int] = 120,
    *,
    temperature: float = 1.0,
    data: Any = None,
    batch_size: int = 65_536,
) -> Wells:
    """Return the energies of several wells on one grid, and who is responsible where.

    >>> import ebm, torch
    >>> a, b = (ebm.energies.Gaussian(torch.tensor([m, 0.0])) for m in (-1.0, 1.0))
    >>> ebm.landscape.wells([a, b], (-1, 1), 3).responsibilities[:, 1, 1].tolist()
    [0.5, 0.5]

    Args:
        energies: The energy of each well, (batch, 2) -> (batch,).
        bounds: As for `grid`.
        resolution: Points per axis, or (x points, y points).
        temperature: Softness of the borders; 0 has none.
        data: Points, (n, 2), that set the bounds if there are none.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: There is no energy, or as for `grid`.
    """
    checks.not_negative("temperature", temperature)
    if not len(energies):
        raise ValueError("energies must hold at least one well, got none. Pass [a, b].")
    box = bounds_of(bounds, None if data is None else as_points(data))
    found = [grid(energy, box, resolution, batch_size=batch_size) for energy in energies]
    values = np.stack([well.values for well in found])
    return Wells(found[0].x, found[0].y, values, float(temperature), box)
