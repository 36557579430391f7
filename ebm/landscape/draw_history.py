"""Draw the terms of a training run over its steps."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette

WIDE = 30.0
"""How much larger than the smallest term the largest must be for a logarithmic axis."""


@runtime_checkable
class Columns(Protocol):
    """What is drawn: named columns over steps, as `ebm.History` holds them."""

    steps: list[int]

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        ...

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a column."""
        ...


def draw_history(history: Columns, ax: Any = None) -> Any:
    """Draw every named term over the steps, smoothed over its faint values; return the axes.

    The axis is linear near zero and logarithmic beyond where the terms' sizes differ wildly.
    """
    ax = canvas.axes(size=(6.0, 3.6)) if ax is None else ax
    sizes = []
    for number, name in enumerate(history.names):
        values = np.asarray(history[name], np.float64)
        there = np.isfinite(values)
        steps, values = np.asarray(history.steps)[there], values[there]
        if not len(values):
            continue
        sizes.append(float(np.quantile(np.abs(values), 0.9)))
        color = palette.LINES[number % len(palette.LINES)]
        style = ("-", "--", ":", "-.")[number // len(palette.LINES) % 4]
        window = max(1, len(values) // 40)
        label = name.replace("_", " ")
        if window > 1:
            ax.plot(steps, values, color=color, alpha=0.18, linewidth=0.7)
        ax.plot(steps, smooth(values, window), style, color=color, linewidth=1.7, label=label)
    sizes = [size for size in sizes if size > 0]
    if sizes and max(sizes) > WIDE * min(sizes):
        ax.set_yscale("symlog", linthresh=min(sizes), linscale=1.0)
    canvas.ruled(ax)
    ax.set_xlabel("step", fontsize=8, color=palette.CAPTION)
    canvas.legend(ax)
    return ax


def smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of the values around each, over fewer at the two ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(np.minimum(at, len(values) - 1 - at), window // 2)
    return (total[at + reach + 1] - total[at - reach]) / (2 * reach + 1)
