"""Checkpoints: tensors and numbers, the last few and the best of them kept.

The best is the one with the lowest total of the terms, meant over the `save_every` steps that
end at it. Where the terms are a game between two players, their total says little: take the
last one.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from ebm.training import seal
from ebm.training.atomic import atomically

FORMAT = 2
FIELDS: dict[str, type] = {
    "format": int,
    "name": str,
    "step": int,
    "place": list,
    "seed": int,
    "examples": int,
    "batch_size": int,
    "total": float,
    "method": dict,
    "optimizer": dict,
    "scheduler": dict,
    "precision": dict,
    "fingerprint": dict,
}
"""What a checkpoint holds."""


def write(folder: Path, state: dict[str, Any]) -> Path:
    """Write a checkpoint and return its path.

    Raises:
        ValueError: The state holds something else than tensors and numbers.
    """
    refuse_objects(state)
    path = folder / f"step-{state['step']:09d}.pt"
    atomically(path, lambda part: seal.save(part, {"format": FORMAT, **state}))
    return path


def crown(path: Path, best: Path) -> None:
    """Make a checkpoint the best one, which stays when the last ones move on."""
    atomically(best, lambda part: _link(path, part))


def forget(folder: Path, keep: int) -> None:
    """Delete all but the last checkpoints."""
    for old in checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """Return the numbered checkpoints in a folder, oldest first."""
    found = [p for p in folder.glob("step-*.pt") if re.fullmatch(r"step-\d+\.pt", p.name)]
    return sorted(found, key=lambda p: int(p.stem.removeprefix("step-")))


def last(run: Path) -> Path | None:
    """Return the last checkpoint of a run's folder, if it has one.

    Raises:
        ValueError: It is a link that leads out of the folder.
    """
    found = checkpoints(run / "checkpoints") or checkpoints(run)
    if found:
        refuse_escape(found[-1], run)
    return found[-1] if found else None


def read(path: Path) -> dict[str, Any]:
    """Return what a checkpoint, or the last one of a run, holds; nothing in it is executed.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: The file is damaged or no checkpoint of this library.
    """
    path = Path(path)
    if path.is_dir():
        found = last(path)
        if found is None:
            raise FileNotFoundError(
                f"path must hold a checkpoint, got {path} without one. "
                "Give the --out folder of a run, or a step-*.pt file."
            )
        path = found
    if not path.exists():
        raise FileNotFoundError(f"path must exist, got {path}. Give a run's folder or a file.")
    try:
        state = seal.load(path)
        refuse_objects(state)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"checkpoint must be whole and hold only tensors and numbers, got {path} "
            f"({reason[:120]}). Delete it to use the one before it."
        ) from error
    if not isinstance(state, dict) or not _complete(state):
        raise ValueError(
            f"checkpoint must be one that ebm.fit wrote, in format {FORMAT}, got {path}. "
            "Load other files with torch.load."
        )
    return state


def refuse_objects(value: Any, at: str = "checkpoint") -> None:
    """Refuse what is neither a tensor, a number or a word, nor made of them.

    Raises:
        ValueError: Something is; the message says where.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_objects(key, at)
            refuse_objects(item, f"{at}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            refuse_objects(item, f"{at}[{i}]")
    elif not (isinstance(value, Tensor | bool | int | float | str) or value is None):
        raise ValueError(
            f"{at} must be a tensor or a number, got {type(value).__name__}. "
            "Objects are never saved: keep numbers, and build the object from them."
        )


def refuse_escape(path: Path, folder: Path) -> None:
    """Refuse a path that leads out of a folder.

    Raises:
        ValueError: It does.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"files of a run must lie in its folder, got {path} that leads to {path.resolve()}. "
            "Name that file itself if you trust it."
        )


def _complete(state: dict[str, Any]) -> bool:
    typed = all(type(state.get(name)) is kind for name, kind in FIELDS.items())
    return (
        typed
        and state["format"] == FORMAT
        and 0 <= state["step"] < 2**63
        and len(state["place"]) == 2
        and all(type(count) is int and count >= 0 for count in state["place"])
        and all(isinstance(value, Tensor) for value in state["method"].values())
    )


def _link(path: Path, part: Path) -> None:
    try:
        os.link(path, part)
    except OSError:  # some file systems have no links
        shutil.copyfile(path, part)
