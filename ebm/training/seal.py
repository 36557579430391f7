"""Sealed files: what torch.save writes, followed by its checksum.

torch does not compare the checksums of its archives: a flipped bit would be loaded. Readers of
zip archives pass over what follows them, so a sealed file is also one for torch.load. A seal
finds damage; against malice, only tensors and numbers are ever read.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

MARK = b"blake2b:"
LENGTH = len(MARK) + hashlib.blake2b().digest_size


def save(path: Path, state: Any) -> None:
    """Write tensors and numbers, and the seal."""
    with path.open("wb") as file:
        tee = _Tee(file)
        try:
            torch.save(state, tee)  # pyright: ignore[reportArgumentType]
        except Exception:
            # torch says "unexpected pos" where the disk is full; the disk says what it is.
            if tee.error is not None:
                raise tee.error from None
            raise
        file.write(MARK + tee.digest.digest())


def load(path: Path) -> Any:
    """Return what a sealed file holds; nothing in it is executed.

    Raises:
        ValueError: The file is not whole.
    """
    size = path.stat().st_size - LENGTH
    with path.open("rb") as file:
        digest = hashlib.blake2b()
        left = size
        while left > 0 and (block := file.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
        seal = file.read()
    if size < 0 or not seal.startswith(MARK):
        raise ValueError("its end is missing")
    if seal != MARK + digest.digest():
        raise ValueError("its checksum is wrong")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith(("/", "\\")) or ".." in Path(name).parts:
                raise ValueError(f"it names a path outside of it, {name}")
    return torch.load(path, map_location="cpu", weights_only=True)


class _Tee:
    """Passes on what is written, and counts it into the checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.blake2b()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        self.file.flush()
