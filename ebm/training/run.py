"""A run's folder: run.json, metrics.csv and the checkpoints."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from ebm.training import checkpoint
from ebm.training.history import History


class Run:
    """The folder in which a run keeps what it must not lose.

    Raises:
        ValueError: The folder holds a run already and `resume` is off, cannot be written,
            or its last checkpoint is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], *, resume: bool) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.metrics = self.folder / "metrics.csv"
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            probe = self.checkpoints / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ValueError(
                f"out must be a folder that can be written, got {folder} ({error.strerror}). "
                "Choose another folder."
            ) from error
        found = checkpoint.checkpoints(self.checkpoints)
        if found and not resume:
            raise ValueError(
                f"out must not hold another run, got {folder} with {found[-1].name}. "
                "Pass resume=True (--resume) to go on, or choose another folder."
            )
        self.state = checkpoint.read(self.folder) if found else None
        self.last: Path | None = found[-1] if found else None
        self._columns: list[str] = []
        self._written = 0

    def history(self, seed: int) -> History:
        """Return the history up to the checkpoint."""
        return History.read(self.metrics, self.state["step"] if self.state else 0, seed)

    def start(self, history: History) -> None:
        """Bring metrics.csv to where the history is: rows after the checkpoint go."""
        history.write(self.metrics)
        self._columns, self._written = history.names, len(history)

    def describe(self, **facts: Any) -> None:
        """Add facts to run.json; what is there already stays unless it is given anew."""
        path = self.folder / "run.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        known |= {
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            **facts,
        }
        text = json.dumps(known, indent=2, sort_keys=True) + "\n"
        checkpoint.atomically(path, lambda part: _write(part, text))

    def record(self, history: History) -> None:
        """Bring metrics.csv up to the history."""
        if history.names != self._columns:
            history.write(self.metrics)
        else:
            history.append(self.metrics, self._written)
        self._columns, self._written = history.names, len(history)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint."""
        self.last = checkpoint.write(self.checkpoints, step, {"step": step, **state})


def _write(path: Path, text: str) -> None:
    path.write_text(text)
