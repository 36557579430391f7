"""The color scale: which energies the colors span, and how they are compressed.

A few huge energies must not flatten the basin in which the data lie. So the range is taken
from the energies of the data where there are any, and the colors go with the logarithm:

    color(E) = log(1 + K u) / log(1 + K),    u = (E - low) / (high - low) clipped to [0, 1]
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPRESSION = 20.0
"""K: how much finer low energies are colored than high ones."""

REACH = 4.0
"""How many spreads of the data's energies the colors reach beyond them, at most."""

SAMPLE = 1_000_000
"""Values from which quantiles are taken, at most."""


def color_range(
    values: NDArray[np.floating], energies: NDArray[np.floating] | None = None
) -> tuple[float, float]:
    """Return the lowest and highest energy that colors tell apart.

    Args:
        values: The energies drawn; those that are not finite are left out.
        energies: Energies of the data; quantiles of the values decide if None.
    """
    values = values.ravel()[:: max(1, values.size // SAMPLE)]
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return 0.0, 1.0
    bottom, median, top = np.quantile(values, [0.01, 0.5, 0.95])
    low, high = max(values.min(), bottom - 2 * (median - bottom)), top
    if energies is not None and np.isfinite(energies).any():
        energies = energies[np.isfinite(energies)].astype(np.float64)
        first, last = np.quantile(energies, [0.02, 0.95])
        room = REACH * (last - first)
        low = max(values.min(), min(low, first), first - room)
        high = max(min(values.max(), last + room), min(top, median) if room == 0 else last)
    if not high > low:
        high = max(float(values.max()), low + max(1e-6, 1e-6 * abs(low)))
    return float(low), float(high)


def compressed(energy: Any, low: float, high: float) -> NDArray[np.float64]:
    """Return the colors of the energies, between 0 and 1."""
    return np.minimum(grown(energy, low, high), 1)


def grown(energy: Any, low: float, high: float) -> NDArray[np.float64]:
    """Return the colors' scale of the energies, gone on beyond 1 above `high`."""
    u = (np.asarray(energy, np.float64) - low) / (high - low)
    return np.log1p(COMPRESSION * np.maximum(u, 0)) / np.log1p(COMPRESSION)


def expanded(color: Any, low: float, high: float) -> NDArray[np.float64]:
    """Return the energies of the colors: the inverse of `compressed`."""
    u = np.expm1(np.asarray(color, np.float64) * np.log1p(COMPRESSION)) / COMPRESSION
    return low + np.clip(u, 0, 1) * (high - low)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return round energies about evenly spaced in color, for the color bar."""
    edges = expanded(np.linspace(0, 1, count), low, high)
    unit = 10.0 ** np.floor(np.log10(max(abs(low), high - low)))
    near = (float(np.ceil(low / step) * step) for step in unit * 0.1 ** np.arange(16))
    found = [next((tick for tick in near if low <= tick < edges[1] / 2 + low / 2), low) + 0.0]
    for i, value in enumerate(edges):
        gap = edges[min(i + 1, count - 1)] - edges[min(i, count - 2)]
        unit = 10.0 ** np.floor(np.log10(gap))
        step = unit * max(m for m in (1, 2, 5) if m * unit <= gap)
        rounded = round(float(np.round(value / step) * step), 12) + 0.0  # no -0
        colors = compressed([*found, rounded], low, high)
        if low <= rounded <= high and (not found or colors[-1] - colors[-2] > 0.6 / count):
            found.append(rounded)
    return found


def labels(ticks: list[float]) -> list[str]:
    """Return the ticks in as few digits as tell them apart."""
    gap = min((b - a for a, b in itertools.pairwise(ticks)), default=1.0)
    for digits in range(1, 17):
        words = [f"{tick:.{digits}g}" for tick in ticks]
        if all(abs(float(w) - t) <= 0.05 * gap for w, t in zip(words, ticks, strict=True)):
            return [
                np.format_float_positional(float(w), trim="-") if _plain(w) else w for w in words
            ]
    return [f"{tick:g}" for tick in ticks]


def _plain(word: str) -> bool:
    return 1e-4 <= abs(float(word)) < 1e6
