"""The landscape over training: what a run on points keeps of its energy, for the explorer.

Each frame is a small file of its own, an array and a few numbers, written once: nothing is
lost when the run is killed, and nothing in it can be executed.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy, as_energy, inputs
from ebm.landscape.bounds import bounds_of, thinned
from ebm.landscape.frames import Frames
from ebm.landscape.grid import grid
from ebm.method import Method
from ebm.training import randomness
from ebm.training.atomic import atomically

FOLDER = "film"
"""Where in a run's folder the frames lie."""

MOST = 60
"""Frames of a run, at most."""

RESOLUTION = 100
"""Points per axis of a frame."""

SHARE = 0.2
"""The share of a run's time that frames may take, once they have taken `GRACE` seconds."""

GRACE = 3.0


class Film:
    """Records the energy of a method on a grid around its data, evenly over the steps.

    Frames that would take too large a share of the time are left out, except the last.
    """

    def __init__(
        self, folder: Path, method: Method, points: Tensor, schedule: Collection[int]
    ) -> None:
        self.folder, self.method, self.points = folder, method, thinned(points)
        self.box, self.schedule = bounds_of(None, points), schedule
        self.started, self.spent = time.perf_counter(), 0.0

    @classmethod
    def of(
        cls, folder: Path, method: Method, data: tuple[Tensor, ...], schedule: Collection[int]
    ) -> "Film | None":
        """Return the film of a run on points of the plane, or None for other data."""
        if not data or data[0].ndim != 2 or data[0].shape[1] != 2:
            return None
        if not data[0].is_floating_point():
            return None
        return cls(folder, method, data[0], schedule)

    def begin(self, step: int) -> None:
        """Drop the frames after the step at which a run goes on, and record it."""
        for path in _paths(self.folder):
            if _step(path) > step:
                path.unlink()
        self.record(step)

    def record(self, step: int, *, last: bool = False) -> None:
        """Write a frame, if the step is one that has it and the energy can be drawn."""
        path = self.folder / f"step-{step:09d}.npz"
        if path.exists() or not (last or step in self.schedule):
            return
        elapsed = time.perf_counter() - self.started
        if not last and self.spent > max(GRACE, SHARE * elapsed):
            return
        began = time.perf_counter()
        try:
            found = self.measure()
        except ValueError:  # an energy of something else than a point, or not yet an energy
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = {"bounds": np.asarray(found.bounds), "high": np.float64(found.high)}
        atomically(path, _writer(found.values.astype(np.float32), numbers))
        self._thin()
        self.spent += time.perf_counter() - began

    def measure(self, resolution: int = RESOLUTION) -> Any:
        """Return the energy on the grid."""
        energy = energy_of_points(self.method, self.points)
        with randomness.isolated(self.points.device):
            return grid(energy, self.box, resolution, data=self.points)

    def _thin(self) -> None:
        """Keep the first frame, the last, and every other one, where there are too many."""
        paths = _paths(self.folder)
        if len(paths) > MOST:
            for path in paths[1:-1:2]:
                path.unlink()


def energy_of_points(method: Method, points: Tensor) -> Energy:
    """Return the energy of x alone; what follows x is the first of the points."""
    energy = as_energy(method.energy)
    return energy if inputs(energy) == 1 else energy.given(points[:1])


def evenly(steps: int) -> set[int]:
    """Return the steps that have a frame: evenly spaced, the first and the last among them."""
    return set(np.linspace(0, steps, min(MOST, steps + 1)).round().astype(int).tolist())


def read(folder: Path) -> Frames | None:
    """Return the frames that a run has kept, or None if there are none.

    Raises:
        ValueError: A file is damaged.
    """
    paths = _paths(folder)
    if not paths:
        return None
    found = [_read(path) for path in paths]
    values = np.stack([each["values"] for each in found])
    (left, right), (bottom, top) = found[-1]["bounds"].tolist()
    rows, columns = values.shape[1:]
    lowest = np.where(np.isfinite(values), values, np.inf).min(axis=(1, 2))
    tops = [float(e["high"] - low) for e, low in zip(found, lowest, strict=True) if low < np.inf]
    return Frames(
        np.linspace(left, right, columns),
        np.linspace(bottom, top, rows),
        np.array([_step(path) for path in paths]),
        values,
        ((left, right), (bottom, top)),
        max(tops, default=1.0),
        None,
    )


def _writer(values: NDArray[np.float32], numbers: dict[str, Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, values=values, **numbers)

    return write


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("values", "bounds", "high")}
    except Exception as error:
        raise ValueError(
            f"frame must be one that a run wrote, got {path} ({error}). Delete the file."
        ) from error


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.npz"))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
