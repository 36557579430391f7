"""The minimum-energy path between two examples, by the string method, and its barrier.

A string of examples is moved along the part of the score that is normal to it and spread
evenly again, until no normal part is left. From its highest example the saddle is climbed:
up along the string, down across it.

Reference: E, Ren & Vanden-Eijnden, "String method for the study of rare events", Physical
Review B 66, 2002; Henkelman, Uberuaga & Jonsson, "A climbing image nudged elastic band
method for finding saddle points and minimum energy paths", Journal of Chemical Physics 113,
2000, and the tangents of Henkelman & Jonsson in the same volume.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import Probe, probe
from ebm.landscape.trajectories import Trajectories, trajectories

TOLERANCE = 1e-3
"""The normal part of the score at which a string rests, as a share of the largest score."""


@dataclass(frozen=True)
class MinimumEnergyPath:
    """A path from a to b across the lowest pass, as evenly spaced examples."""

    positions: NDArray[np.float64]
    """The examples, (points, *shape), from a to b."""
    values: NDArray[np.floating]
    """Their energies, (points,)."""
    lengths: NDArray[np.float64]
    """How far along the path each lies, (points,)."""
    saddle: NDArray[np.float64]
    """The highest point of the path, climbed to the pass, (*shape)."""
    saddle_value: float
    """Its energy."""
    residual: float
    """What is left of the normal part, as a share of the largest score; small if it rests."""
    size = (6.0, 3.6)

    @property
    def barrier(self) -> float:
        """How far the pass lies above a."""
        return self.saddle_value - float(self.values[0])

    @property
    def barrier_back(self) -> float:
        """How far the pass lies above b."""
        return self.saddle_value - float(self.values[-1])

    @property
    def trace(self) -> Trajectories:
        """The path in the plane, to be drawn on a grid: `draw(grid, trajectories=path.trace)`."""
        return trajectories(self.positions[:, None])

    def draw_on(self, ax: Any) -> None:
        """Draw the energy along the path, and its highest point."""
        ax.plot(self.lengths, self.values, color=palette.LINES[0], linewidth=1.8)
        ax.plot(self.lengths, self.values, ".", color=palette.LINES[0], markersize=4)
        top = self.lengths[int(np.nanargmax(self.values))]
        dot = {"edgecolors": palette.INK, "linewidths": 0.9, "zorder": 3}
        ax.scatter([top], [self.saddle_value], marker="D", c=palette.EDGE, s=34, **dot)
        ends = self.lengths[[0, -1]], self.values[[0, -1]]
        ax.scatter(*ends, s=34, c=palette.DATA, edgecolors=palette.EDGE, linewidths=1, zorder=3)
        for letter, x, y in zip("ab", *ends, strict=True):
            place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            ax.annotate(letter, (x, y), color=palette.INK, fontsize=9, **place)
        canvas.ruled(ax, "E")
        rest = "" if self.residual < 10 * TOLERANCE else "; it has not come to rest: more steps"
        canvas.caption(
            ax,
            f"along the lowest path from a to b, length {self.lengths[-1]:.3g}; the pass lies "
            f"{self.barrier:.3g} above a, {self.barrier_back:.3g} above b{rest}",
        )


def minimum_energy_path(
    energy: Energy | Callable[..., Tensor],
    a: Any,
    b: Any,
    points: int = 33,
    *,
    via: Any = None,
    steps: int = 1_000,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> MinimumEnergyPath:
    """Return the minimum-energy path from a to b, which stay where they are.

    It is the lowest path among those near the straight one: between two minima there may
    be others, which `via` leads to.

    >>> import ebm
    >>> wells = ebm.energies.DoubleWell(barrier=3.0)
    >>> round(ebm.landscape.minimum_energy_path(wells, *wells.minima).barrier, 4)
    3.0

    Args:
        energy: Any callable of a batch of examples, differentiable in x.
        a: Where the path starts, without a batch axis.
        b: Where it ends.
        points: Examples on the path.
        via: An example that the first guess passes through; none goes straight.
        steps: Moves of the string, at most.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: a and b are the same or differ in shape, or as for `profile`.
    """
    corners = [("a", a), ("via", via), ("b", b)] if via is not None else [("a", a), ("b", b)]
    corners = [as_examples(x, name).cpu() for name, x in corners]
    checks.same_shape(*corners)
    checks.count("points", points, 3)
    checks.count("steps", steps)
    checks.count("batch_size", batch_size)
    if torch.equal(corners[0], corners[-1]):
        raise ValueError("a and b must differ, got the same example twice. Choose another b.")
    ready, shape = probe(energy, given, like=corners[0]), corners[0].shape
    line = torch.stack(corners).double().flatten(1).numpy()

    def scores(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _scores(ready, x.reshape(-1, *shape), batch_size)

    x, residual = _rest(scores, _even(line, points), steps)
    values = ready.at(ready.like(x.reshape(-1, *shape)), batch_size)
    top = int(np.nanargmax(values))
    saddle, height = x[top], float(values[top])
    if 0 < top < points - 1:
        climbed = _climb(scores, x[top - 1], x[top], x[top + 1], steps)
        found = float(ready.at(ready.like(climbed.reshape(1, *shape)), batch_size)[0])
        if found >= height - abs(height) * 1e-6:
            saddle, height = climbed, found
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))])
    return MinimumEnergyPath(
        x.reshape(-1, *shape), values, lengths, saddle.reshape(shape), height, residual
    )


Scores = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _rest(scores: Scores, x: NDArray[np.float64], steps: int) -> tuple[NDArray[np.float64], float]:
    """Return the string at rest, and the share of the score that is still normal to it."""
    found, curvature, residual = scores(x), 0.0, np.inf
    for _ in range(steps):
        along = _tangents(x, found)
        normal = found - (found * along).sum(1, keepdims=True) * along
        normal[[0, -1]] = 0
        lengths = np.linalg.norm(normal, axis=1, keepdims=True)
        residual = float(lengths.max() / max(np.linalg.norm(found, axis=1).max(), 1e-30))
        if residual < TOLERANCE:
            break
        spacing = float(np.linalg.norm(x[1] - x[0]))
        if curvature == 0:  # how fast the score changes across the string
            ahead = x + 0.01 * spacing / lengths.max() * normal
            curvature = _curvature(scores(ahead) - found, ahead - x, 1e-4 * spacing)
        # Where the string tilts, the score along it enters its normal part.
        stiffness = curvature + np.linalg.norm(found - normal, axis=1).max() / spacing
        step = np.minimum(0.9 / max(stiffness, 1e-30), 0.5 * spacing / np.maximum(lengths, 1e-30))
        moved = _even(x + step * normal, len(x))
        after = scores(moved)
        curvature = max(0.98 * curvature, _curvature(after - found, moved - x, 1e-3 * spacing))
        x, found = moved, after
    return x, residual


def _climb(
    scores: Scores,
    before: NDArray[np.float64],
    top: NDArray[np.float64],
    after: NDArray[np.float64],
    steps: int,
) -> NDArray[np.float64]:
    """Return the pass near the highest example of a string; that example if there is none."""
    apart, x = np.linalg.norm(after - before), top
    along = (after - before) / apart
    curvature, found = 0.0, scores(x[None])[0]
    start = np.linalg.norm(found)
    for _ in range(steps):
        force = found - 2 * (found @ along) * along
        if np.linalg.norm(found) <= 1e-6 * max(start, 1e-30):
            break
        step = force * (0.5 / curvature if curvature > 0 else 0.01 * apart / np.linalg.norm(force))
        step *= min(1.0, 0.1 * apart / max(np.linalg.norm(step), 1e-30))
        moved = scores((x + step)[None])[0]
        curvature = max(0.9 * curvature, _curvature((moved - found)[None], step[None], 0.0))
        x, found = x + step, moved
    return x if np.linalg.norm(found) <= start and np.linalg.norm(x - top) < 2 * apart else top


def _even(x: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Return points spread evenly along a string."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))])
    at = np.linspace(0, length[-1], points)
    i = np.clip(np.searchsorted(length, at, side="right") - 1, 0, len(x) - 2)
    share = ((at - length[i]) / np.maximum(length[i + 1] - length[i], 1e-30))[:, None]
    return (1 - share) * x[i] + share * x[i + 1]


def _tangents(x: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the directions toward the higher neighbor, which keep a string from kinking."""
    steps = np.diff(x, axis=0)
    rises = -((scores[1:] + scores[:-1]) * steps).sum(1) / 2
    steps /= np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-30)
    after, before = rises[1:, None], -rises[:-1, None]  # to the next, to the one before
    share = np.abs(after) / np.maximum(np.abs(after) + np.abs(before), 1e-30)
    mixed = share * steps[1:] + (1 - share) * steps[:-1]
    higher = np.where(after > before, steps[1:], steps[:-1])
    inner = np.where((after > 0) == (before > 0), mixed, higher)  # mixed at peaks and wells
    along = np.concatenate([steps[:1], inner, steps[-1:]])
    return along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-30)


def _curvature(change: NDArray[np.float64], step: NDArray[np.float64], least: float) -> float:
    """Return how fast the score changes with steps that are not lost in rounding."""
    lengths = np.linalg.norm(step, axis=1)
    there = lengths > least
    return float((np.linalg.norm(change, axis=1)[there] / lengths[there]).max(initial=0.0))


def _scores(ready: Probe, x: NDArray[np.float64], batch_size: int) -> NDArray[np.float64]:
    where = ready.like(x)
    found = ready.scores(lambda index: where[index], len(x), batch_size)
    return np.nan_to_num(found.reshape(len(x), -1).astype(np.float64))
