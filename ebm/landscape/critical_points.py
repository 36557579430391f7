"""The critical points of a 2-D energy: minima, saddles and maxima.

Where both components of the score change sign within a cell of a grid, or its length has a
dip, Newton's method x <- x + H^{-1} s starts; the signs of the Hessian's eigenvalues tell
what it found. The Hessian H is a central difference of scores, so that one derivative of
the energy is enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of
from ebm.landscape.evaluate import Probe, probe
from ebm.landscape.lattice import axes_of, locations_on, two_dimensional

NEWTON = 40
"""Steps of Newton's method, at most."""

FLAT = 2e-4
"""Eigenvalues smaller than this share of the other are taken for zero: a valley."""


@dataclass(frozen=True)
class CriticalPoints:
    """Points at which the score is zero, by rising energy."""

    positions: NDArray[np.float64]
    """(n, 2)."""
    values: NDArray[np.floating]
    """Their energies, (n,)."""
    eigenvalues: NDArray[np.float64]
    """Of the Hessian, the smaller first, (n, 2)."""
    bounds: Bounds
    """Where they were looked for."""
    degenerate: int
    """How many were left out because an eigenvalue is zero: a valley or a plain."""

    @property
    def index(self) -> NDArray[np.int64]:
        """How many directions go down: 0 at minima, 1 at saddles, 2 at maxima, (n,)."""
        return (self.eigenvalues < 0).sum(1)

    @property
    def minima(self) -> NDArray[np.float64]:
        """The positions of the minima, the lowest first."""
        return self.positions[self.index == 0]

    @property
    def saddles(self) -> NDArray[np.float64]:
        """The positions of the saddles, the lowest first."""
        return self.positions[self.index == 1]

    @property
    def maxima(self) -> NDArray[np.float64]:
        """The positions of the maxima, the lowest first."""
        return self.positions[self.index == 2]

    def draw_on(self, ax: Any) -> None:
        """Draw dots at minima, diamonds at saddles, triangles at maxima."""
        kinds = {"minimum": ("o", palette.DATA), "saddle": ("D", palette.EDGE)}
        kinds["maximum"] = ("^", palette.INK)
        for number, (name, (marker, color)) in enumerate(kinds.items()):
            points = self.positions[self.index == number]
            edge = palette.EDGE if number == 2 else palette.INK
            style = {"c": color, "edgecolors": edge, "linewidths": 0.9, "zorder": 3.4}
            if len(points):
                ax.scatter(*points.T, s=34, marker=marker, label=name, **style)


def critical_points(
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 100,
    *,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 65_536,
) -> CriticalPoints:
    """Return the minima, saddles and maxima of a 2-D energy within the bounds.

    Two that lie in one cell of the grid may be found as one.

    >>> import ebm
    >>> found = ebm.landscape.critical_points(ebm.energies.Himmelblau(), (-5, 5))
    >>> len(found.minima), len(found.saddles), len(found.maxima)
    (4, 4, 1)

    Args:
        energy: Any callable of points, (batch, 2) -> (batch,), differentiable in x.
        bounds: As for `grid`.
        resolution: Points per axis of the grid on which the search starts.
        data: Points, (n, 2), that set the bounds if there are none.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `grid`, and if the energy has no gradient in x.
    """
    points = None if data is None else as_points(data)
    checks.count("batch_size", batch_size)
    ready = probe(energy, given, like=points)
    two_dimensional(ready)
    box = bounds_of(bounds, points)
    x, y = axes_of(box, resolution)
    scores = ready.scores(locations_on(ready, x, y), len(x) * len(y), batch_size)
    return from_scores(ready, x, y, scores.reshape(len(y), len(x), 2), batch_size)


def from_scores(
    ready: Probe,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    scores: NDArray[np.floating],
    batch_size: int,
) -> CriticalPoints:
    """Return the critical points, given the scores on the grid."""
    cell = np.array([x[1] - x[0], y[1] - y[0]])
    box: Bounds = ((float(x[0]), float(x[-1])), (float(y[0]), float(y[-1])))
    points, last = _candidates(x, y, scores), np.full(1, np.inf)
    for _ in range(NEWTON):
        curvature = hessians(ready, points, 0.1 * cell, batch_size)
        step = _newton(curvature, scores_at(ready, points, batch_size)) / cell
        last = np.linalg.norm(step, axis=1, keepdims=True)
        points = points + cell * step * np.minimum(1, 1 / np.maximum(last, 1e-300))
        kept = np.isfinite(points).all(1)
        points, last = points[kept], last[kept]
        if not len(points) or last.max() < 1e-4:
            break
    inside = (points >= [box[0][0], box[1][0]]).all(1) & (points <= [box[0][1], box[1][1]]).all(1)
    points = _different(points[inside & (last[:, 0] < 1e-2)], 0.05 * cell)
    eigenvalues, vectors = np.linalg.eigh(hessians(ready, points, 0.1 * cell, batch_size))
    size = np.abs(eigenvalues)
    slope = np.abs(np.einsum("ni,nik->nk", scores_at(ready, points, batch_size), vectors)).max(1)
    still = slope <= 1e-4 * size.max(1) * cell.min()  # Newton is blind along a flat valley
    points, eigenvalues, size = points[still], eigenvalues[still], size[still]
    values = ready.at(ready.like(points), batch_size)
    curved = size.min(1) > FLAT * size.max(1)
    order = np.argsort(values[curved], kind="stable")
    points, values, eigenvalues = points[curved], values[curved], eigenvalues[curved]
    return CriticalPoints(
        points[order], values[order], eigenvalues[order], box, int((~curved).sum())
    )


def _candidates(
    x: NDArray[np.float64], y: NDArray[np.float64], scores: NDArray[np.floating]
) -> NDArray[np.float64]:
    corners = np.stack([scores[:-1, :-1], scores[:-1, 1:], scores[1:, :-1], scores[1:, 1:]])
    crossed = ((corners.min(0) <= 0) & (corners.max(0) >= 0)).all(-1)
    j, i = crossed.nonzero()
    centers = np.stack([(x[i] + x[i + 1]) / 2, (y[j] + y[j + 1]) / 2], -1)
    length = np.nan_to_num(np.linalg.norm(scores, axis=-1), nan=np.inf)
    padded = np.pad(length, 1, constant_values=np.inf)
    rows, columns = length.shape
    around = [padded[b : b + rows, a : a + columns] for b in range(3) for a in range(3)]
    j, i = ((length <= np.min(around, axis=0)) & np.isfinite(length)).nonzero()
    return np.concatenate([centers, np.stack([x[i], y[j]], -1)])


def scores_at(ready: Probe, points: NDArray[np.float64], batch_size: int) -> NDArray[np.floating]:
    """Return the scores at the points, (n, 2)."""
    if not len(points):
        return np.zeros((0, 2))
    x = ready.like(points)
    return ready.scores(lambda index: x[index], len(x), batch_size)


def hessians(
    ready: Probe, points: NDArray[np.float64], h: NDArray[np.float64], batch_size: int
) -> NDArray[np.float64]:
    """Return the Hessians of the energy, (n, 2, 2)."""
    shifts = np.stack([points + sign * h * axis for axis in np.eye(2) for sign in (1, -1)])
    shifts = ready.like(shifts).cpu().double().numpy()  # as they are after rounding
    ahead, behind = (
        scores_at(ready, shifts[i::2].reshape(-1, 2), batch_size).reshape(2, -1, 2) for i in (0, 1)
    )
    apart = np.linalg.norm(shifts[0::2] - shifts[1::2], axis=-1, keepdims=True)
    rows = ((behind - ahead) / apart).transpose(1, 0, 2)
    return np.nan_to_num((rows + rows.transpose(0, 2, 1)) / 2)


def _newton(hessians: NDArray[np.float64], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    if not len(scores):
        return np.zeros((0, 2))
    return (np.linalg.pinv(hessians, rcond=FLAT, hermitian=True) @ scores[..., None])[..., 0]


def _different(points: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.empty((0, 2))
    for point in points:
        if not (np.linalg.norm((kept - point) / apart, axis=1) < 1).any():
            kept = np.concatenate([kept, point[None]])
    return kept
