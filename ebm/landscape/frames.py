"""A landscape over training: grids on one fixed scale, as pictures or as a film."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import heatmap, palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of, thinned
from ebm.landscape.film import write
from ebm.landscape.grid import grid

PANELS = 6
"""Frames drawn side by side, at most."""


@dataclass(frozen=True)
class Frames:
    """Energies on one grid at several times, each above its own lowest on one scale."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    steps: NDArray[np.int64]
    """Training steps, (frames,)."""
    values: NDArray[np.floating]
    """(frames, len(y), len(x)), NaN where they are not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""
    high: float
    """How far above its lowest an energy has the palest color, in every frame."""
    points: NDArray[np.float64] | None
    """Some of the data, (n, 2), drawn on every frame of the film."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for a panel each."""
        return 2.9 * min(len(self.steps), PANELS) + 0.8, 3.6

    def on(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> "Frames":
        """Return the frames on another grid, linear in between, NaN outside their own."""
        if np.array_equal(x, self.x) and np.array_equal(y, self.y):
            return self
        across = _linear(self.x, x)
        up = _linear(self.y, y)
        values = np.einsum("ja,fab,ib->fji", up, self.values, across)
        box = (float(x[0]), float(x[-1])), (float(y[0]), float(y[-1]))
        return replace(self, x=x, y=y, values=values, bounds=box)

    def draw_on(self, ax: Any) -> None:
        """Draw evenly spaced frames side by side."""
        many = np.unique(np.linspace(0, len(self.steps) - 1, PANELS).round().astype(int))
        shown = {f"step {self.steps[k]:,}": self.values[k] for k in many}
        heatmap.side_by_side(ax, self.x, self.y, shown, self.high)

    def save(self, path: str | os.PathLike[str], *, rate: float = 8.0, dpi: int = 80) -> Path:
        """Write the film and return its path: a GIF, or an MP4 where ffmpeg is installed.

        Args:
            path: Where it is written; the ending decides.
            rate: Frames a second.
            dpi: Dots per inch of a frame of 4.4 by 4.2 inches.
        """
        pictures = [partial(self._draw_frame, k) for k in range(len(self.steps))]
        return write(pictures, path, rate=rate, dpi=dpi, size=(4.4, 4.2))

    def _draw_frame(self, number: int, ax: Any) -> None:
        values = self.values[number]
        lowest = np.nanmin(values) if np.isfinite(values).any() else 0.0
        image = heatmap.energies(ax, self.x, self.y, values - lowest, 0.0, self.high)
        if self.points is not None:
            dots = {"s": 6, "c": palette.DATA, "edgecolors": palette.EDGE}
            ax.scatter(*self.points.T, linewidths=0.3, zorder=3, **dots)
            ax.set_xlim(self.x[0], self.x[-1])
            ax.set_ylim(self.y[0], self.y[-1])
        heatmap.energy_bar(ax, image, "E", 0.0, self.high)
        ax.set_title(f"step {self.steps[number]:,}", loc="left", fontsize=9, color=palette.INK)


def frames(
    energies: Iterable[Energy | Callable[..., Tensor]],
    steps: Sequence[int] | None = None,
    bounds: Any = None,
    resolution: int | Sequence[int] = 80,
    *,
    data: Any = None,
    batch_size: int = 65_536,
) -> Frames:
    """Return an energy at several times of its training, on one grid.

    The energies may come from a generator that trains between them or loads checkpoints:
    each is evaluated before the next one is asked for.

    Args:
        energies: The energy at each time.
        steps: The training steps; counted from 0 if None.
        bounds: As for `grid`, the same for all.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), that set the bounds if there are none, and the color range.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: There is no energy, the steps are not as many, or as for `grid`.
    """
    points = None if data is None else as_points(data)
    box = bounds_of(bounds, points)
    found = [grid(e, box, resolution, data=data, batch_size=batch_size) for e in energies]
    at = list(range(len(found)) if steps is None else steps)
    if not found or len(at) != len(found):
        raise ValueError(
            f"energies must be as many as steps, at least one, got {len(found)} and {len(at)}. "
            "Pass one step for each energy."
        )
    tops = [g.high - g.minimum for g in found if np.isfinite(g.minimum) and g.high > g.minimum]
    shown = None if points is None else thinned(points)[:: -(-len(points) // 500)]
    dots = None if shown is None else shown.cpu().double().numpy()
    values = np.stack([g.values for g in found])
    first = found[0]
    return Frames(first.x, first.y, np.asarray(at), values, box, max(tops, default=1.0), dots)


def _linear(known: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of linear interpolation, (wanted, known), NaN outside."""
    at = (wanted - known[0]) / (known[1] - known[0])
    i = np.clip(np.floor(at).astype(int), 0, len(known) - 2)
    weights = np.zeros((len(wanted), len(known)))
    rows = np.arange(len(wanted))
    weights[rows, i] = 1 - (at - i)
    weights[rows, i + 1] = at - i
    outside = (wanted < known[0] - 1e-9) | (wanted > known[-1] + 1e-9)
    weights[outside] = np.nan
    return weights
