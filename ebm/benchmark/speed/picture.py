"""Draw the growth of time and memory on logarithmic axes, ours beside the best peer's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ebm.benchmark.speed.growth import series, slopes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#2a6f97", "#c8553d", "#588157", "#7b5ea7")
"""One for each name in a panel."""


def draw(rows: Sequence[Any], figure: "Figure", growing: Sequence[str] = ("N", "D")) -> None:
    """Draw a column for each growing quantity: time above, memory below.

    Lines are ours, with their log-log slope; dashed ones the fastest, or leanest, other library.
    """
    found = {
        key: points
        for key, points in series(rows).items()
        if key[1] == "cpu" and key[2] in growing and len(points) > 2
    }
    fitted = {(slope.name, slope.growing): slope for slope in slopes(rows)}
    axes = figure.subplots(2, len(growing), squeeze=False)
    for column, quantity in enumerate(growing):
        named = [(key[0], points) for key, points in found.items() if key[2] == quantity]
        for color, (name, points) in zip(COLORS, named, strict=False):
            values = [row.value for row in points]
            slope = fitted[name, quantity]
            times = [1e3 * row.seconds for row in points]
            held = [row.megabytes for row in points]
            for ax, costs, power in (
                (axes[0][column], times, slope.time),
                (axes[1][column], held, slope.memory),
            ):
                ax.plot(values, costs, "o-", color=color, label=f"{name}, slope {power:.2f}")
            theirs = [row for row in points if row.peer_seconds]
            for ax, costs in (
                (axes[0][column], [1e3 * min(row.peer_seconds.values()) for row in theirs]),
                (axes[1][column], [min(row.peer_megabytes.values()) for row in theirs]),
            ):
                ax.plot([row.value for row in theirs], costs, "--", color=color, linewidth=1)
        for ax, what in ((axes[0][column], "milliseconds"), (axes[1][column], "megabytes")):
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            if high < 2 * low:  # what does not grow is to look flat
                ax.set_ylim(low / 3, 3 * high)
            ax.set_xlabel(quantity)
            ax.set_ylabel(what)
            ax.grid(visible=True, alpha=0.25)
            if named:
                ax.legend(frameon=False, fontsize=8)
