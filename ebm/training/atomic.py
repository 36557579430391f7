"""Files that are there whole or not at all, whatever kills the process or the machine."""

import os
from collections.abc import Callable
from pathlib import Path

PART = ".part"


def atomically(path: Path, save: Callable[[Path], object]) -> None:
    """Write a file beside its place, flush it to the disk, and move it there."""
    part = path.with_name(path.name + PART)
    try:
        part.unlink(missing_ok=True)  # a link left there would be written through
        save(part)
        sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clean(folder: Path) -> None:
    """Delete what a killed process left half written in a folder."""
    for part in folder.glob(f"*{PART}"):
        part.unlink(missing_ok=True)
