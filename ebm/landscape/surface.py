"""Draw a grid as a surface in three dimensions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette, scale
from ebm.landscape.grid import Grid

PATCHES = 160
"""Patches along each side, at most."""


def draw_surface(grid: Grid, ax: Any = None, *, data: Any = None) -> Any:
    """Draw the energy as height and return the axes.

    Height grows as the color does, finer in the wells, and the surface ends where the
    colors do; the ticks are energies.

    Args:
        grid: What `grid` or `plane` computed.
        ax: Three-dimensional axes; new ones if None.
        data: Examples, draped on the surface.
    """
    ax = canvas.axes(size=(6.0, 4.8), projection="3d") if ax is None else ax
    ys, xs = (slice(None, None, -(-n // PATCHES)) for n in grid.values.shape)
    x, y = np.meshgrid(grid.x[xs], grid.y[ys])
    x, y, height = _trimmed(x, y, scale.grown(grid.values[ys, xs], grid.low, grid.high))
    ax.computed_zorder = False
    ax.plot_surface(
        x,
        y,
        height,
        facecolors=_lit(height, x, y),
        rstride=1,
        cstride=1,
        linewidth=0,
        antialiased=False,
        shade=False,
        zorder=1,
    )
    if data is not None:
        _drape(ax, grid, grid.locate(data))
    ticks = scale.ticks(grid.low, grid.high)
    ax.set_zticks(scale.compressed(ticks, grid.low, grid.high), scale.labels(ticks))
    ax.set_box_aspect((1, np.ptp(grid.y) / np.ptp(grid.x), 0.44), zoom=1.1)
    ax.view_init(elev=50, azim=-62)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_visible(False)
        axis.line.set_color("#c9cfd4")
        axis._axinfo["grid"].update(color="#e4e7ea", linewidth=0.5)
        axis.set_tick_params(labelsize=7, labelcolor=palette.CAPTION, pad=-1)
    ax.set_zlabel("E", fontsize=9, color=palette.CAPTION, labelpad=-4)
    return ax


def _trimmed(
    x: NDArray[np.float64], y: NDArray[np.float64], height: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the surface ending at height 1, the points just outside moved to that rim."""
    inside = height <= 1
    padded = np.pad(inside, 1)
    rows, columns = inside.shape
    near = [padded[j : j + rows, i : i + columns] for j in range(3) for i in range(3)]
    rim = ~inside & np.isfinite(height) & np.any(near, axis=0)
    cell = x[0, 1] - x[0, 0], y[1, 0] - y[0, 0]
    down, across = np.gradient(height, cell[1], cell[0])
    away = (height - 1) / np.maximum(across**2 + down**2, 1e-12)
    shift = [
        np.clip(np.nan_to_num(away * g), -c, c) for g, c in ((across, cell[0]), (down, cell[1]))
    ]
    kept = np.where(inside, height, np.where(rim, 1.0, np.nan))
    return np.where(rim, x - shift[0], x), np.where(rim, y - shift[1], y), kept


def _lit(height: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Return the colors of the surface in light that falls from the upper left."""
    colors = palette.field()(np.ma.masked_invalid(0.97 * height))
    rows, columns = height.shape
    down, across = np.gradient(height, 1 / rows, 1 / columns)
    facing = (1 + 0.5 * across + 0.5 * down) / np.sqrt(1.5 * (1 + across**2 + down**2))
    light = np.clip(0.75 + 0.3 * np.nan_to_num(facing, nan=0.5), 0.55, 1)[..., None]
    colors[..., :3] = colors[..., :3] * light + (1 - light) * np.array([0.12, 0.26, 0.5])
    return colors


def _drape(ax: Any, grid: Grid, points: NDArray[np.float64]) -> None:
    """Draw points at the height of the grid below them."""
    inside = (points >= [grid.x[0], grid.y[0]]).all(1) & (points <= [grid.x[-1], grid.y[-1]]).all(1)
    points = points[inside]
    i = np.searchsorted(grid.x, points[:, 0]).clip(1) - 1
    j = np.searchsorted(grid.y, points[:, 1]).clip(1) - 1
    u = (points[:, 0] - grid.x[i]) / (grid.x[i + 1] - grid.x[i])
    v = (points[:, 1] - grid.y[j]) / (grid.y[j + 1] - grid.y[j])
    rows = (1 - v) * ((1 - u) * grid.values[j, i] + u * grid.values[j, i + 1])
    rows += v * ((1 - u) * grid.values[j + 1, i] + u * grid.values[j + 1, i + 1])
    points, rows = points[rows <= grid.high], rows[rows <= grid.high]
    ax.scatter(
        *points.T,
        scale.compressed(rows, grid.low, grid.high) + 0.02,
        s=9,
        c=palette.DATA,
        edgecolors=palette.EDGE,
        linewidths=0.4,
        depthshade=False,
        zorder=2,
    )
