"""Draw energies as a heat map with contours, and other numbers on a grid as pictures."""

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
    energy_bar(ax, energies(ax, x, y, values, low, high), "E", low, high)
    canvas.caption(ax, describe(values, low, high))


def side_by_side(
    ax: Any,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    named: dict[str, NDArray[np.floating]],
    high: float,
) -> list[Any]:
    """Draw energies above each one's lowest on one scale, and return the panels."""
    axes = canvas.panels(ax, [name.replace("_", " ") for name in named])
    image: Any = None
    for panel, values in zip(axes, named.values(), strict=True):
        lowest = float(np.nanmin(values)) if np.isfinite(values).any() else 0.0
        image = energies(panel, x, y, values - lowest, 0.0, high)
        canvas.caption(panel, f"lowest {lowest:.3g}")
        if panel is not axes[0]:
            panel.set_yticklabels([])
    energy_bar(axes[-1], image, "E above its lowest", 0.0, high)
    return axes


def shared_range(
    named: dict[str, NDArray[np.floating]],
    energies: dict[str, NDArray[np.floating]] | None = None,
) -> float:
    """Return the end of one scale for several energies, each above its lowest."""
    above, data = [], []
    for name, values in named.items():
        lowest = float(np.nanmin(values)) if np.isfinite(values).any() else 0.0
        above.append((values - lowest).ravel())
        data += [energies[name] - lowest] if energies else []
    low, high = scale.color_range(np.concatenate(above), np.concatenate(data) if data else None)
    return high if high > 0 else low + 1.0


def energies(
    ax: Any,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    values: NDArray[np.floating],
    low: float,
    high: float,
) -> Any:
    """Draw the heat map with its contours alone, and return the image."""
    shown = np.clip(values, low, high)
    image = picture(ax, x, y, shown, cmap=palette.field(), norm=norm(low, high))
    levels = scale.expanded(np.linspace(0, 1, CONTOURS + 2)[1:-1], low, high)
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() < levels[-1] and finite.max() > levels[0]:
        colors = [
            (1, 1, 1, 0.30) if i < CONTOURS * 0.55 else (0.1, 0.2, 0.35, 0.25)
            for i in range(CONTOURS)
        ]
        ax.contour(x, y, np.ma.masked_invalid(values), levels=levels, colors=colors, linewidths=0.5)
    return image


def picture(
    ax: Any,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    values: NDArray[Any],
    *,
    cmap: Any = None,
    norm: Any = None,
    equal: bool = True,
) -> Any:
    """Draw numbers or colors at (x, y) smoothly, and return the image."""
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    image = ax.imshow(
        np.ma.masked_invalid(values),
        origin="lower",
        extent=(x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y),
        cmap=cmap,
        norm=norm,
        interpolation="bilinear",
        aspect="equal" if equal else "auto",
    )
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    canvas.bare(ax)
    return image


def energy_bar(ax: Any, image: Any, name: str, low: float, high: float) -> None:
    """Draw the color bar of energies, with ticks that follow its scale."""
    ticks = scale.ticks(low, high)
    labels = [label.replace("-", "\N{MINUS SIGN}") for label in scale.labels(ticks)]
    bar(ax, image, name, ticks, labels)


def bar(ax: Any, image: Any, name: str, ticks: Any = None, labels: Any = None) -> Any:
    """Draw a color bar exactly as tall as the axes, and return it."""
    found = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.035, 1)))
    if ticks is not None:
        found.set_ticks(ticks, labels=labels)
    found.minorticks_off()
    found.outline.set_visible(False)
    found.ax.tick_params(length=2.5, width=0.6, labelsize=8, labelcolor=palette.CAPTION)
    found.ax.set_title(name, fontsize=9, color=palette.CAPTION, loc="left")
    return found


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
