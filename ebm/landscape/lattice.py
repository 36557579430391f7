"""The points of a grid, made batch by batch."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ebm import checks
from ebm.energy import evaluating, modules
from ebm.landscape.bounds import Bounds
from ebm.landscape.evaluate import Locations, Probe


def axes_of(
    box: Bounds, resolution: int | Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coordinates along each axis."""
    nx, ny = (resolution, resolution) if isinstance(resolution, int) else resolution
    checks.count("resolution", nx, 2)
    checks.count("resolution", ny, 2)
    return np.linspace(*box[0], nx), np.linspace(*box[1], ny)


def centers_of(
    box: Bounds, resolution: int | Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centers of the cells along each axis."""
    x, y = (
        low + (np.arange(len(axis)) + 0.5) * (high - low) / len(axis)
        for axis, (low, high) in zip(axes_of(box, resolution), box, strict=True)
    )
    return x, y


def on_grid(
    ready: Probe,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    batch_size: int,
    place: Callable[[Tensor], Tensor] = lambda points: points,
) -> NDArray[np.floating]:
    """Return the energies at every (x, y), (len(y), len(x)).

    `place` makes examples from points of the plane, (batch, 2).
    """
    checks.count("batch_size", batch_size)
    locations = locations_on(ready, x, y, place)
    return ready.values(locations, len(x) * len(y), batch_size).reshape(len(y), len(x))


def locations_on(
    ready: Probe,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    place: Callable[[Tensor], Tensor] = lambda points: points,
) -> Locations:
    """Return what makes the examples at (x, y) from their indices, x running fastest."""
    xs, ys = ready.like(x), ready.like(y)

    def locations(index: Tensor) -> Tensor:
        return place(torch.stack([xs[index % len(xs)], ys[index // len(xs)]], dim=-1))

    return locations


def two_dimensional(ready: Probe) -> None:
    """Refuse an energy that cannot take points of the plane, naming the planes it can take."""
    x = torch.zeros(2, 2, device=ready.device, dtype=ready.dtype)
    try:
        with torch.no_grad(), evaluating(ready.energy):
            ready.energy(x)
    except Exception as error:
        reason = str(error).strip().splitlines()
        layers = (m.in_features for m in modules(ready.energy) if isinstance(m, nn.Linear))
        width = next(layers, 2)
        got = f"an energy of {width} numbers" if width != 2 else type(error).__name__
        raise ValueError(
            f"energy must take points of shape (batch, 2), got {got} "
            f"({reason[0] if reason else error!r}). Draw a plane through three examples: "
            "ebm.landscape.plane(energy, a, b, c), or a line through two: "
            "ebm.landscape.profile(energy, a, b); "
            "ebm.landscape.show(energy, data) does it with the first of the data."
        ) from error
