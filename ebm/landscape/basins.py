"""The basins of a 2-D energy: the minimum that the gradient flow reaches from each point.

The flow dx/dt = s(x) is followed along the scores of a grid, linear between its points, with
Heun's method in the length of the path: its step shrinks where the direction turns. What is
then still on its way, in valleys narrower than a cell, goes on along the energy itself, by
implicit Euler steps, x <- x + (I / dt + H)^{-1} s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, heatmap, palette, scale
from ebm.landscape.bounds import as_points
from ebm.landscape.critical_points import CriticalPoints, from_scores, hessians, scores_at
from ebm.landscape.evaluate import Probe, probe
from ebm.landscape.grid import Grid, grid
from ebm.landscape.lattice import locations_on

STEPS = 300
TURN = 0.05
"""How far, in cells, the two directions of a step may lead apart."""

SHORTEST = 0.2
"""The shortest step, in cells; in a narrow valley its two directions point across, against
one another, and their mean points along."""


@dataclass(frozen=True)
class Basins:
    """Where each point of a grid flows: `labels[j, i]` numbers a minimum, or is -1."""

    grid: Grid
    """The energies."""
    labels: NDArray[np.int64]
    """Index into `critical.minima`, (len(y), len(x)); -1 where the flow leaves the box."""
    critical: CriticalPoints
    """The minima, saddles and maxima."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of the box that flows to each minimum, (minima,)."""
        count = len(self.critical.minima)
        return np.bincount(self.labels[self.labels >= 0], minlength=count) / self.labels.size

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where examples lie in the picture, (n, 2): where they are."""
        return as_points(x).cpu().double().numpy()

    def draw_on(self, ax: Any) -> None:
        """Draw a color for each minimum, stronger where the energy is low."""
        from matplotlib.colors import to_rgb

        g = self.grid
        wheel = np.array([to_rgb(palette.color(k)) for k in range(len(palette.LINES))])
        own = np.where(self.labels[..., None] >= 0, wheel[self.labels % len(wheel)], 0.7)
        depth = 1 - scale.compressed(np.nan_to_num(g.values, nan=g.high), g.low, g.high)
        strength = (0.2 + 0.7 * depth)[..., None]
        heatmap.picture(ax, g.x, g.y, 1 - strength * (1 - own))
        self.critical.draw_on(ax)
        canvas.legend(ax)
        words = [
            f"{name}: {share:.0%}" for name, share in zip("abcdefgh", self.shares, strict=False)
        ]
        for letter, point in zip("abcdefgh", self.critical.minima, strict=False):
            place = {"xytext": (6, 4), "textcoords": "offset points", "fontsize": 9}
            ax.annotate(letter, point, color=palette.INK, zorder=4, **place)
        if (self.labels < 0).any():
            words.append(f"gray, {(self.labels < 0).mean():.0%}, reaches no minimum here")
        canvas.caption(ax, "share that flows to " + ", ".join(words))


def basins(
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 120,
    *,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 65_536,
) -> Basins:
    """Return the minimum to which the gradient flow leads from each point of a grid.

    Args:
        energy: Any callable of points, (batch, 2) -> (batch,), differentiable in x.
        bounds: As for `grid`.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), that set the bounds and the color range.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `grid`, and if the energy has no gradient in x.
    """
    found = grid(energy, bounds, resolution, data=data, given=given, batch_size=batch_size)
    ready = probe(energy, given, like=None if data is None else as_points(data))
    x, y = found.x, found.y
    scores = ready.scores(locations_on(ready, x, y), len(x) * len(y), batch_size)
    scores = scores.reshape(len(y), len(x), 2)
    critical = from_scores(ready, x, y, scores, batch_size)
    cell = np.array([x[1] - x[0], y[1] - y[0]])
    labels, late, places = _flow(scores / cell, (critical.minima - [x[0], y[0]]) / cell)
    labels[late] = _crawl(ready, places * cell + [x[0], y[0]], critical, cell, batch_size)
    return Basins(found, labels.reshape(len(y), len(x)), critical)


def _flow(
    scores: NDArray[np.floating], minima: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the minimum that each grid point reaches, and which are where on their way.

    Lengths are in cells.
    """
    rows, columns = scores.shape[:2]
    labels = np.full(rows * columns, -1)
    at = np.arange(rows * columns)
    x = np.stack([at % columns, at // columns], -1).astype(np.float64)
    h = np.ones(len(x))
    for _ in range(STEPS if len(minima) else 0):
        near = np.linalg.norm(x[:, None] - minima, axis=-1)
        reached = near.min(1) < 0.75
        labels[at[reached]] = near.argmin(1)[reached]
        inside = (x >= -0.5).all(1) & (x <= [columns - 0.5, rows - 0.5]).all(1)
        kept = inside & ~reached
        at, x, h = at[kept], x[kept], h[kept]
        if not len(at):
            break
        first = _direction(scores, x)
        second = _direction(scores, x + h[:, None] * first)
        error = h * np.linalg.norm(second - first, axis=1) / 2
        good = (error < TURN) | (h <= SHORTEST)
        x = np.where(good[:, None], x + h[:, None] * _unit(first + second), x)
        h = h * np.clip(0.9 * np.sqrt(TURN / np.maximum(error, 1e-9)), 0.3, 2)
        h = np.clip(h, SHORTEST, 0.7)
    return labels, at, x


def _crawl(
    ready: Probe,
    points: NDArray[np.float64],
    critical: CriticalPoints,
    cell: NDArray[np.float64],
    batch_size: int,
) -> NDArray[np.int64]:
    """Return the minimum that each point reaches implicitly, points that are near as one."""
    _, first, same = np.unique(
        np.round(2 * points / cell), axis=0, return_index=True, return_inverse=True
    )
    labels, x, at = np.full(len(first), -1), points[first], np.arange(len(first))
    low, high = (np.array([side[k] for side in critical.bounds]) for k in (0, 1))
    for _ in range(STEPS if len(critical.minima) else 0):
        near = np.linalg.norm((x[:, None] - critical.minima) / cell, axis=-1)
        reached = near.min(1, initial=np.inf) < 0.75
        labels[at[reached]] = near[reached].argmin(1)
        kept = ~reached & ((x >= low - cell) & (x <= high + cell)).all(1)
        at, x = at[kept], x[kept]
        if not len(at):
            break
        score = scores_at(ready, x, batch_size)
        curvature, axes = np.linalg.eigh(hessians(ready, x, 0.1 * cell, batch_size))
        rate = np.linalg.norm(score, axis=1, keepdims=True) / cell.min() / 0.7
        along = np.einsum("nik,ni->nk", axes, score) / np.maximum(
            np.maximum(curvature, 0) + 1e-3 * rate, 1e-30
        )
        step = np.einsum("nik,nk->ni", axes, along)
        length = np.linalg.norm(step / cell, axis=1, keepdims=True)
        x = x + step * np.minimum(1, 0.7 / np.maximum(length, 1e-30))
    return labels[same.ravel()]


def _direction(scores: NDArray[np.floating], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction of the score between the grid's points, of length one."""
    rows, columns = scores.shape[:2]
    i, j = (np.clip(x[:, k].astype(int), 0, n - 2) for k, n in ((0, columns), (1, rows)))
    u, v = np.clip(x[:, :1] - i[:, None], 0, 1), np.clip(x[:, 1:] - j[:, None], 0, 1)
    found = (1 - v) * ((1 - u) * scores[j, i] + u * scores[j, i + 1])
    found += v * ((1 - u) * scores[j + 1, i] + u * scores[j + 1, i + 1])
    return _unit(np.nan_to_num(found))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
