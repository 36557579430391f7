"""History: the named terms of every step."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

METRIC = "metric:"
"""Before the name of a number that is watched and not minimized, in a row and in the file."""


@dataclass
class History:
    """The mean of every named term, step by step, and the metrics that were noted.

    `history["reconstruction"]` is the column of a term or metric, NaN at the steps without
    it (two players move in turn). `history.total` is what each step minimized.
    """

    seed: int | None = None
    steps: list[int] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: int, row: dict[str, float]) -> None:
        """Append one step, counted from 1; the names of metrics begin with "metric:"."""
        for name in row:
            column = [math.nan] * len(self.steps)
            if name.startswith(METRIC):
                self.metrics.setdefault(name.removeprefix(METRIC), column)
            else:
                self.columns.setdefault(name, column)
        for name, column in zip(self.header, self._all, strict=True):
            column.append(row.get(name, math.nan))
        self.steps.append(step)

    @property
    def header(self) -> list[str]:
        """The names of the terms and of the metrics, as the file has them."""
        return [*self.columns, *(METRIC + name for name in self.metrics)]

    @property
    def _all(self) -> list[list[float]]:
        return [*self.columns.values(), *self.metrics.values()]

    @property
    def names(self) -> list[str]:
        """The names of the terms, in the order in which they came."""
        return list(self.columns)

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of the terms at each step."""
        return np.nansum(np.array([self[name] for name in self.names]), axis=0)

    def mean(self, last: int) -> float:
        """Return the mean of the total over the last steps."""
        columns = [column[-last:] for column in self.columns.values()]
        return sum(math.fsum(v for v in c if v == v) for c in columns) / max(1, len(columns[0]))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return the column of a term, or of a metric."""
        found = self.columns.get(name, self.metrics.get(name))
        if found is None:
            known = [*self.columns, *self.metrics]
            raise KeyError(f"term must be one of {known}, got {name!r}.")
        return np.array(found)

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.steps)

    def __repr__(self) -> str:
        """Return the number of steps and the last value of each term."""
        last = {
            name: next((v for v in reversed(c) if v == v), math.nan)
            for name, c in self.columns.items()
        }
        words = ", ".join(f"{name}={value:.4g}" for name, value in last.items())
        return f"History(steps={self.steps[-1] if self.steps else 0}, {words})"

    def draw(self, ax: Any = None) -> Any:
        """Draw every term over the steps and return the axes."""
        from ebm.landscape.draw import draw_history

        return draw_history(self, ax)

    def write(self, path: Path) -> None:
        """Write all steps as CSV."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", *self.header])
            writer.writerows(self._rows(0))

    def append(self, path: Path, start: int) -> None:
        """Append the steps from index `start` on to a CSV with the same columns."""
        with path.open("a", newline="") as file:
            csv.writer(file).writerows(self._rows(start))

    @classmethod
    def read(cls, path: Path, until: int | None = None, seed: int | None = None) -> "History":
        """Return the steps of a CSV, up to and including step `until`.

        A last line that was cut off, as by a killed process, is left out.

        Raises:
            ValueError: A line that is needed is damaged or missing.
        """
        history = cls(seed=seed)
        if not path.exists():
            return history
        try:
            history._read(path, math.inf if until is None else until)
        except (ValueError, csv.Error) as error:
            raise ValueError(
                f"metrics must be whole, got {path} ({error}). Restore it, or delete it to go "
                "on with a history that starts at the checkpoint."
            ) from error
        return history

    def _read(self, path: Path, until: float) -> None:
        text = path.read_bytes().decode()
        lines = csv.reader(text[: text.rfind("\n") + 1].splitlines())
        header = next(lines, ["step"])
        if header[0] != "step" or len(set(header)) < len(header):
            raise ValueError("its first line must name step and the terms")
        for line, cells in enumerate(lines, start=2):
            if self.steps and self.steps[-1] >= until:
                return
            step = int(cells[0]) if cells else -1
            if not self.steps and step > until:
                return
            if len(cells) != len(header) or (self.steps and step != self.steps[-1] + 1):
                raise ValueError(f"line {line} is damaged")
            row = zip(header[1:], cells[1:], strict=True)
            self.add(step, {name: float(cell) for name, cell in row if cell})
        if self.steps and math.isfinite(until) and self.steps[-1] < until:
            raise ValueError(f"it ends at step {self.steps[-1]}, before {until:.0f}")

    def _rows(self, start: int) -> list[list[object]]:
        columns = [column[start:] for column in self._all]
        rows = zip(self.steps[start:], *columns, strict=True)
        return [[step, *("" if v != v else repr(v) for v in values)] for step, *values in rows]
