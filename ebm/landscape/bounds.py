"""Bounds: the part of the plane that is drawn."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Bounds = tuple[tuple[float, float], tuple[float, float]]
"""((x_low, x_high), (y_low, y_high))."""

DEFAULT: Bounds = ((-3.0, 3.0), (-3.0, 3.0))
"""What is drawn where neither bounds nor data say."""

PADDING = 0.2
"""Room around the data, as a share of its larger extent."""

THINNED = 10_000
"""Examples whose energies set the color range, at most."""


def bounds_of(bounds: Any = None, points: Tensor | None = None) -> Bounds:
    """Return the bounds, those of the points with room around them, or the default.

    Raises:
        ValueError: There are not two or four finite numbers, each low below its high.
    """
    if bounds is None:
        if points is None:
            return DEFAULT
        low, high = (p.cpu().double().numpy() for p in (points.amin(0), points.amax(0)))
        room = PADDING * float((high - low).max()) or 1.0
        sides = [(float(a - room), float(b + room)) for a, b in zip(low, high, strict=True)]
        return sides[0], sides[1]
    numbers = np.asarray(bounds, dtype=np.float64).ravel().tolist()
    if len(numbers) == 2:
        numbers *= 2
    if (
        len(numbers) != 4
        or not np.isfinite(numbers).all()
        or not (numbers[0] < numbers[1] and numbers[2] < numbers[3])
    ):
        raise ValueError(
            f"bounds must be (low, high) or ((x_low, x_high), (y_low, y_high)) with low < high, "
            f"got {bounds}. Pass bounds=(-3, 3)."
        )
    return (numbers[0], numbers[1]), (numbers[2], numbers[3])


def as_examples(data: Any, name: str = "data") -> Tensor:
    """Return the data as a tensor, refused unless it holds finite examples.

    Of a tuple, as `fit` takes it, the first tensor holds the examples.

    Raises:
        TypeError: It is no tensor or array.
        ValueError: It is empty, or holds NaN or infinite numbers.
    """
    try:
        x = torch.as_tensor(data[0] if isinstance(data, tuple) else data).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{name} must be a tensor or an array, got {type(data).__name__}. "
            f"Stack the examples: torch.stack(list(examples))."
        ) from error
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    if x.numel() == 0 or x.ndim == 0:
        raise ValueError(
            f"{name} must hold at least one example, got shape {tuple(x.shape)}. "
            f"Leave {name} out to draw without."
        )
    if not bool(x.isfinite().all()):
        raise ValueError(
            f"{name} must be finite, got {int((~x.isfinite()).sum())} numbers that are not. "
            f"Drop those rows: {name}[{name}.isfinite().flatten(1).all(1)]."
        )
    return x


def as_points(data: Any, name: str = "data") -> Tensor:
    """Return the data as points of the plane.

    Raises:
        ValueError: The examples are no points of the plane.
    """
    x = as_examples(data, name)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(
            f"{name} must have shape (n, 2), got {tuple(x.shape)}. Draw a plane through three "
            f"examples: ebm.landscape.plane(energy, {name}[0], {name}[1], {name}[2])."
        )
    return x


def thinned(points: Tensor) -> Tensor:
    """Return the examples, or evenly many of them where there are very many."""
    return points[:: -(-len(points) // THINNED)]
