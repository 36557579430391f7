"""The energy of every class, side by side: what a joint energy E(x, y) holds likely where."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, as_energy
from ebm.landscape.comparison import Comparison, comparison


def class_energies(
    energy: Energy | Callable[..., Tensor],
    classes: int | Sequence[int],
    bounds: Any = None,
    resolution: int | Sequence[int] = 100,
    *,
    data: Any = None,
    batch_size: int = 65_536,
) -> Comparison:
    """Return E(x, y) on one grid for every class y, with one scale for all.

    Args:
        energy: Any callable of points and labels, (batch, 2) and (batch,) -> (batch,).
        classes: How many there are, counted from 0, or which.
        bounds: As for `grid`.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), that set the bounds if there are none, and the color range.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: As for `comparison`, and if there is no class.
    """
    if isinstance(classes, int):
        classes = range(checks.count("classes", classes))
    energy = as_energy(energy)
    named = {f"class {label}": energy.given(torch.tensor([label])) for label in classes}
    return comparison(named, bounds, resolution, data=data, batch_size=batch_size)
