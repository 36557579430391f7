"""Draw energies as a heat map with contours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette, scale

CONTOURS = 11


def norm(low: float, high: float) -> Any:
    """Return matplotlib's norm of the color scale."""
    from matplotlib.colors import FuncNorm

    def forward(energy: Any) -> Any:
        return scale.compressed(energy, low, high)

    def inverse(color: Any) -> Any:
        return scale.expanded(color, low, high)

    return FuncNorm((forward, inverse), vmin=low, vmax=high)


def draw(
    ax: Any,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    values: NDArray[np.floating],
    low: float,
    high: float,
) -> None:
    """Draw the heat map, its contours, its color bar and a caption that states the scale."""
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    image = ax.imshow(
        np.ma.masked_invalid(np.clip(values, low, high)),
        origin="lower",
        extent=(x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y),
        cmap=palette.field(),
        norm=norm(low, high),
        interpolation="bilinear",
        aspect="equal",
    )
    levels = scale.expanded(np.linspace(0, 1, CONTOURS + 2)[1:-1], low, high)
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() < levels[-1] and finite.max() > levels[0]:
        colors = [
            (1, 1, 1, 0.30) if i < CONTOURS * 0.55 else (0.1, 0.2, 0.35, 0.25)
            for i in range(CONTOURS)
        ]
        ax.contour(x, y, np.ma.masked_invalid(values), levels=levels, colors=colors, linewidths=0.5)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.035, 1)))
    ticks = scale.ticks(low, high)
    bar.set_ticks(
        ticks, labels=[label.replace("-", "\N{MINUS SIGN}") for label in scale.labels(ticks)]
    )
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2.5, width=0.6, labelsize=8, labelcolor=palette.CAPTION)
    bar.ax.set_title("E", fontsize=9, color=palette.CAPTION, loc="left")
    canvas.bare(ax)
    canvas.caption(ax, describe(values, low, high))


def describe(values: NDArray[np.floating], low: float, high: float) -> str:
    """Return what the colors leave out, in words."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return f"no energy is finite ({values.size:,} points)"
    words = [f"E from {finite.min():.3g} to {finite.max():.3g}"]
    above, below = float((finite > high).mean()), float((finite < low).mean())
    if above:
        words.append(f"{_percent(above)} above the colors")
    if below:
        words.append(f"{_percent(below)} below them")
    if finite.size < values.size:
        words.append(f"{values.size - finite.size:,} of {values.size:,} not finite (gray)")
    return ", ".join(words)


def _percent(share: float) -> str:
    return "<1%" if share < 0.01 else f"{share:.0%}"
