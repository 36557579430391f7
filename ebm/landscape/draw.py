"""Draw computed landscapes with matplotlib; drawing never evaluates a model."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from ebm.landscape import canvas, palette
from ebm.landscape.draw_history import draw_history

__all__ = ["Landscape", "draw", "draw_history"]

SIZE = (5.6, 4.8)
"""Inches of a figure, unless the view states others."""

SHOWN = 5_000
"""Points drawn of each set, at most."""


@runtime_checkable
class Landscape(Protocol):
    """Computed arrays that can draw themselves: what every view is.

    A view on which examples have a place also has `locate(x) -> (n, 2)`; one that needs
    room has `size`, the inches of its figure.
    """

    def draw_on(self, ax: Any) -> None:
        """Draw the arrays on the axes."""
        ...


def draw(
    landscape: Landscape,
    ax: Any = None,
    *,
    data: Any = None,
    samples: Any = None,
    score: Landscape | None = None,
    trajectories: Landscape | None = None,
) -> Any:
    """Draw a landscape, with what lies on top of it, and return the axes.

    Args:
        landscape: What `grid`, `plane`, `profile`, `field` or another view computed.
        ax: Axes to draw on; new ones if None.
        data: Examples, drawn as orange points.
        samples: Examples that a model made, drawn as white diamonds.
        score: A score field, drawn as arrows.
        trajectories: Paths of chains.

    Raises:
        ValueError: Examples have no place on this landscape.
    """
    ax = canvas.axes(size=getattr(landscape, "size", SIZE)) if ax is None else ax
    landscape.draw_on(ax)
    for overlay in (score, trajectories):
        if overlay is not None:
            overlay.draw_on(ax)
    if data is not None:
        _scatter(landscape, ax, data, "data", palette.DATA, palette.DATA_EDGE, "o")
    if samples is not None:
        _scatter(landscape, ax, samples, "samples", palette.SAMPLES, palette.SAMPLES_EDGE, "D")
    if data is not None and samples is not None:
        ax.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=2,
            fontsize=8,
            frameon=False,
            handletextpad=0.2,
            columnspacing=1.2,
            borderaxespad=0.2,
            labelcolor=palette.INK,
        )
    return ax


def _scatter(
    landscape: Landscape, ax: Any, examples: Any, name: str, color: str, edge: str, marker: str
) -> None:
    if not hasattr(landscape, "locate"):
        raise ValueError(
            f"{name} must have a place on the landscape, got a {type(landscape).__name__}. "
            "Draw them on a Grid or a Plane."
        )
    points = landscape.locate(examples)  # pyright: ignore[reportAttributeAccessIssue]
    count = len(points)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    inside = (points >= [left, bottom]).all(1) & (points <= [right, top]).all(1)
    shown = points[inside]
    shown = shown[:: -(-len(shown) // SHOWN) or 1]
    size = float(np.clip(3_000 / max(len(shown), 1), 4, 18))
    ax.scatter(
        shown[:, 0],
        shown[:, 1],
        s=size * (0.8 if marker == "D" else 1),
        c=color,
        marker=marker,
        edgecolors=edge,
        linewidths=0.045 * size**0.5 + 0.25,
        label=name,
        zorder=3,
    )
    words = []
    if len(shown) < inside.sum():
        words.append(f"{len(shown):,} of {count:,} {name} drawn")
    if not inside.all():
        words.append(f"{count - int(inside.sum()):,} {name} outside")
    if words:
        canvas.caption(ax, ", ".join(words))
