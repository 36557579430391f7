"""A run's folder: run.json, metrics.csv, the last checkpoints and best.pt."""

import functools
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ebm.training import checkpoint
from ebm.training.atomic import atomically, clean, sync
from ebm.training.fault import DiskFault
from ebm.training.history import History


class Run:
    """The folder in which a run keeps what it must not lose.

    Args:
        folder: The folder; it is made.
        resume: Go on with the run in it.
        keep: How many of the last checkpoints stay, beside the best one.

    Raises:
        ValueError: The folder holds a run already and `resume` is off, or cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], *, resume: bool, keep: int = 3) -> None:
        self.folder, self.keep = Path(folder), keep
        self.checkpoints = self.folder / "checkpoints"
        self.metrics = self.folder / "metrics.csv"
        self._best = self.folder / "best.pt"
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            probe = self.checkpoints / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
            sync(self.folder)
        except OSError as error:
            raise ValueError(
                f"out must be a folder that can be written, got {folder} ({error.strerror}). "
                "Choose another folder."
            ) from error
        checkpoint.refuse_escape(self.checkpoints, self.folder)
        self.last = checkpoint.last(self.folder)
        if self.last is not None and not resume:
            raise ValueError(
                f"out must not hold another run, got {folder} with {self.last.name}. "
                "Pass resume=True (--resume) to go on, or choose another folder."
            )
        self._columns: list[str] = []
        self._written = 0

    @functools.cached_property
    def state(self) -> dict[str, Any] | None:
        """What the last checkpoint holds when the run starts, if there is one."""
        return None if self.last is None else checkpoint.read(self.last)

    @functools.cached_property
    def best(self) -> float | None:
        """The total of the terms at the best checkpoint, if there is one."""
        if not self._best.exists():
            return None
        checkpoint.refuse_escape(self._best, self.folder)
        return checkpoint.read(self._best)["total"]

    @property
    def saved(self) -> str:
        """What is saved, in words."""
        return f"The last good checkpoint is {self.last}." if self.last else "Nothing was saved."

    @property
    def next(self) -> str:
        """What is saved and how to go on, in words."""
        return f"{self.saved} Go on with resume=True (--resume)." if self.last else self.saved

    def history(self, seed: int) -> History:
        """Return the history up to the checkpoint."""
        return History.read(self.metrics, self.state["step"] if self.state else 0, seed)

    def start(self, history: History) -> None:
        """Bring the folder to where the checkpoint is: what was written after it goes."""
        with self.disk("the metrics"):
            for folder in (self.folder, self.checkpoints):
                clean(folder)
            atomically(self.metrics, history.write)
            if self.last is not None and self.state is not None:  # killed before it was crowned
                self._crown(self.last, self.state["total"])
        self._columns, self._written = history.header, len(history)

    def describe(self, **facts: Any) -> None:
        """Add facts to run.json; what is there already stays unless it is given anew.

        Raises:
            ValueError: run.json is no JSON object.
        """
        path = self.folder / "run.json"
        try:
            known = json.loads(path.read_text()) if path.exists() else {}
            known |= {
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
                **facts,
            }
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"run.json must be a JSON object, got {path} ({error}). "
                "Delete it to write it anew; the checkpoints do not need it."
            ) from error
        text = json.dumps(known, indent=2, sort_keys=True) + "\n"
        with self.disk("run.json"):
            atomically(path, lambda part: part.write_text(text))

    def record(self, history: History) -> None:
        """Bring metrics.csv up to the history."""
        with self.disk("the metrics"):
            if history.header != self._columns:
                atomically(self.metrics, history.write)
            else:
                history.append(self.metrics, self._written)
        self._columns, self._written = history.header, len(history)

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; then, and no sooner, delete the ones that it replaces."""
        with self.disk("the checkpoint"):
            sync(self.metrics)
            self.last = checkpoint.write(self.checkpoints, state)
            self._crown(self.last, state["total"])
            checkpoint.forget(self.checkpoints, self.keep)

    def _crown(self, path: Path, total: float) -> None:
        if self.best is None or total < self.best:
            checkpoint.crown(path, self._best)
            self.best = total

    @contextmanager
    def disk(self, what: str) -> Iterator[None]:
        """Turn an error of the disk into one that says what is saved and how to go on."""
        try:
            yield
        except OSError as error:
            raise DiskFault(
                f"disk must take {what}, got {error.strerror or error} in {self.folder}. "
                f"Make room, or mend the disk. {self.next}"
            ) from error
