"""Compute and draw in one call."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.draw import Landscape, draw
from ebm.landscape.grid import grid
from ebm.landscape.plane import plane, spanning
from ebm.landscape.profile import profile

DPI = 200


def show(
    energy: Energy | Callable[..., Tensor],
    data: Any = None,
    *,
    samples: Any = None,
    bounds: Any = None,
    resolution: int | None = None,
    given: Sequence[Tensor] = (),
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw an energy and return the figure; it appears where there is a window or notebook.

    A 2-D energy becomes a heat map of the region around the data, or of -3 to 3 on both
    axes without data. An energy of larger examples is drawn on the plane through the first
    three of the data, one of single numbers as a curve.

    Args:
        energy: Any callable, x -> (batch,).
        data: Examples; they set the region and the color range, and are drawn on top.
        samples: Examples that a model made, drawn on top, in the plane only.
        bounds: `(low, high)` of both axes, or `((x_low, x_high), (y_low, y_high))`.
        resolution: Points per axis.
        given: What follows x in the energy's arguments, one row each.
        title: A line above the picture.
        path: Where the picture is written as well, such as "ring.png".

    Raises:
        ValueError: The energy cannot be drawn, or not into such a file; the message says what
            can be.
    """
    if path is not None:
        _picture(Path(path))
    examples = None if data is None else as_examples(data)
    like = examples
    if like is None and samples is not None:
        like = as_examples(samples, "samples")
    landscape: Landscape
    if like is None or like.shape[1:] == (2,):
        landscape = grid(energy, bounds, resolution or 150, data=like, given=given)
        ax = draw(_finite(landscape), data=examples, samples=samples)
    elif like[0].numel() == 1:
        low, high = _range(bounds, like)
        a, b = (like.new_full(like.shape[1:] or (1,), end) for end in (low, high))
        landscape = profile(energy, a, b, resolution or 400, margin=0, given=given)
        ax = draw(_finite(landscape))
    else:
        a, b, c = spanning(like)
        landscape = plane(energy, a, b, c, resolution or 60, data=like, given=given)
        ax = draw(_finite(landscape))
    if title is not None:
        ax.set_title(title, loc="left", fontsize=10, color=palette.INK)
    if path is not None:
        ax.figure.savefig(path, dpi=DPI, bbox_inches="tight", pad_inches=0.08)
    canvas.present(ax.figure, written=path is not None)
    return ax.figure


def _finite(landscape: Any) -> Any:
    if not np.isfinite(landscape.values).any():
        raise ValueError(
            "energy must be finite somewhere in what is drawn, got NaN or infinity everywhere. "
            "Choose other bounds, or look for a logarithm of 0 or a diverged run in the energy."
        )
    return landscape


def _picture(path: Path) -> None:
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix and path.suffix[1:].lower() not in known:
        raise ValueError(
            f"path must end as a picture's name does, got {path}. Take one of {' '.join(known)}, "
            f"such as {path.with_suffix('.png').name}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".probe-{os.getpid()}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"path must be a file that can be written, got {path} ({error.strerror}). "
            "Choose another folder."
        ) from error


def _range(bounds: Any, examples: Tensor) -> tuple[float, float]:
    if bounds is not None:
        return float(bounds[0]), float(bounds[1])
    low, high = float(examples.min()), float(examples.max())
    room = 0.2 * (high - low) or 1.0
    return low - room, high + room
