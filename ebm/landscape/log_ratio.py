"""Where a model is wrong: the log ratio of two densities, and the map of their divergence.

    r(x) = log q(x) / p(x),    KL(p || q) = sum_i a p(x_i) log p(x_i) / q(x_i)

with p the target, q the model, both normalized on the box, a the area of a cell.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, heatmap, palette
from ebm.landscape.bounds import as_points, bounds_of
from ebm.landscape.density import Density, density


@dataclass(frozen=True)
class LogRatio:
    """Two densities on one grid, and how they differ."""

    target: Density
    """p."""
    model: Density
    """q."""
    size = (8.4, 4.1)

    @property
    def values(self) -> NDArray[np.float64]:
        """Log q / p, (len(y), len(x)): above zero where the model has too much."""
        with np.errstate(invalid="ignore"):
            return self.model.log_values - self.target.log_values

    @property
    def contributions(self) -> NDArray[np.float64]:
        """What each cell adds to KL(p || q), in nats."""
        mass = self.target.values * self.target.area
        return np.where(mass > 0, -mass * np.nan_to_num(self.values, neginf=-np.inf), 0.0)

    @property
    def kl(self) -> float:
        """KL(p || q) in nats."""
        return float(self.contributions.sum())

    @property
    def total_variation(self) -> float:
        """Half the integral of |p - q|, 0 to 1."""
        apart = np.abs(self.target.values - self.model.values)
        return float(apart.sum() * self.target.area / 2)

    def draw_on(self, ax: Any) -> None:
        """Draw the log ratio, blue where the model has too little, and the map of the KL."""
        left, right = canvas.panels(ax, ["log model / target", "KL(target, model) per area"])
        mass = (self.target.values + self.model.values) / 2
        values = np.abs(self.values)
        finite = np.isfinite(values)
        order = np.argsort(values[finite])
        weight = np.cumsum(mass[finite][order])
        end = int(np.searchsorted(weight, 0.99 * weight[-1])) if finite.any() else 0
        high = float(values[finite][order][min(end, finite.sum() - 1)]) or 1e-6
        shown = np.clip(self.values, -high, high)
        x, y = self.target.x, self.target.y
        for panel, array, top in (
            (left, shown, high),
            (right, self.contributions / self.target.area, None),
        ):
            top = top or float(np.abs(array[np.isfinite(array)]).max(initial=0.0)) or 1e-6
            from matplotlib.colors import Normalize

            style = {"cmap": palette.signed(), "norm": Normalize(-top, top)}
            heatmap.bar(panel, heatmap.picture(panel, x, y, array, **style), "")
        right.set_yticklabels([])
        canvas.caption(left, f"orange: too likely under the model; colors end at {high:.2g}")
        words = f"KL {self.kl:.3g} nats, total variation {self.total_variation:.3g}"
        canvas.caption(right, words)


def log_ratio(
    target: Energy | Callable[..., Tensor],
    model: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 120,
    *,
    temperature: float = 1.0,
    data: Any = None,
    batch_size: int = 65_536,
) -> LogRatio:
    """Return the two densities on one grid, with their log ratio and divergence.

    Args:
        target: The true energy, at temperature 1.
        model: The energy of the model.
        bounds: As for `grid`.
        resolution: Cells per axis, or (x cells, y cells).
        temperature: The temperature of the model.
        data: Points, (n, 2), that set the bounds if there are none.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `density`.
    """
    box = bounds_of(bounds, None if data is None else as_points(data))
    return LogRatio(
        density(target, box, resolution, batch_size=batch_size),
        density(model, box, resolution, temperature=temperature, batch_size=batch_size),
    )
