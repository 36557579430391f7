"""Growth: the exponents with which time and memory grow, fitted to measured rows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Slope:
    """How one quantity's growth shows in time and memory: cost ~ value^slope."""

    name: str
    device: str
    growing: str
    low: float
    high: float
    time: float
    memory: float


def slopes(rows: Iterable[Any]) -> list[Slope]:
    """Return the log-log slopes of the rows that share a name and a growing quantity."""
    found = []
    for (name, device, growing), points in series(rows).items():
        if len(points) < 3:
            continue
        values = [row.value for row in points]
        time = _slope(values, [row.seconds for row in points])
        memory = _slope(values, [row.megabytes for row in points])
        found.append(Slope(name, device, growing, min(values), max(values), time, memory))
    return found


def series(rows: Iterable[Any]) -> dict[tuple[str, str, str], list[Any]]:
    """Return the rows along which a quantity grows, by name, device and quantity."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        if row.growing is not None:
            found.setdefault((row.name, row.device, row.growing), []).append(row)
    return {key: sorted(points, key=lambda row: row.value) for key, points in found.items()}


def _slope(values: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the logarithms."""
    x = [math.log(value) for value in values]
    y = [math.log(max(cost, 1e-9)) for cost in costs]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return above / sum((a - x_mean) ** 2 for a in x)
