"""IDX: the file format of MNIST and its successors.

Two zero bytes, a byte for the type of the numbers (8: one unsigned byte each), a byte for
the number of axes, the length of each axis (32 bits, big-endian), then the numbers.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toy_data import checks
from toy_data.download import data_folder, fetch
from toy_data.images import Images

_PREFIX = {"train": "train", "test": "t10k"}
CURE = "Delete the file and load again to download it, or replace it by a complete copy."


@dataclass(frozen=True)
class Source:
    """Where a set of four IDX files lies and comes from."""

    folder: str
    """Folder of the files, inside the data folder."""
    url: str
    """Folder of the files on the network, ending with a slash."""
    md5: dict[str, str]
    """Published checksums by file name."""

    def load(self, split: str) -> Images:
        """Return the pictures and labels of a split; "all" is train, then test.

        Raises:
            ValueError: The split is unknown, or a file is truncated, garbled or missing.
        """
        if checks.split(split) == "all":
            train, test = self.load("train"), self.load("test")
            images, labels = (torch.cat(parts) for parts in zip(train, test, strict=True))
            return Images(images, labels)
        names = [f"{_PREFIX[split]}-{part}-ubyte.gz" for part in ("images-idx3", "labels-idx1")]
        paths = [self._path(name, names) for name in names]
        images, labels = read(paths[0], axes=3), read(paths[1], axes=1)
        if len(images) != len(labels):
            raise ValueError(
                f"{paths[1]} must hold one label for each of the {len(images)} pictures, got "
                f"{len(labels)}. {CURE}"
            )
        return Images(unit(images).unsqueeze(1), classes(labels, paths[1]))

    def _path(self, name: str, needed: list[str]) -> Path:
        folder = data_folder() / self.folder
        unpacked = folder / name.removesuffix(".gz")
        if unpacked.is_file():
            return unpacked
        return fetch(folder / name, url=self.url + name, md5=self.md5[name], needed=needed)


def read(path: Path, *, axes: int) -> NDArray[np.uint8]:
    """Return the bytes of an IDX file, gzipped or not, in its shape.

    Raises:
        ValueError: The file is truncated or garbled.
    """
    content = _content(path)
    magic, header = bytes([0, 0, 8, axes]), 4 + 4 * axes
    if content[:4] != magic or len(content) < header:
        raise ValueError(
            f"{path} must start with the IDX magic number 0x{magic.hex()}, got "
            f"0x{content[:4].hex()} and {len(content)} bytes in all. {CURE}"
        )
    shape = tuple(int(length) for length in np.frombuffer(content[4:header], dtype=">u4"))
    if 0 in shape:
        raise ValueError(f"{path} must hold at least one example, got shape {shape}. {CURE}")
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"{path} must hold {header + math.prod(shape):,} bytes for its shape {shape}, got "
            f"{len(content):,}. {CURE}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def unit(values: NDArray[np.uint8]) -> Tensor:
    """Return bytes as float32 in [0, 1]."""
    return torch.from_numpy(np.divide(values, np.float32(255), dtype=np.float32))


def classes(labels: NDArray[np.uint8], path: Path, count: int = 10) -> Tensor:
    """Return the labels as int64, refused unless each is one of `count` classes."""
    if labels.max() >= count:
        raise ValueError(
            f"{path} must hold labels from 0 to {count - 1}, got {labels.max()}. {CURE}"
        )
    return torch.from_numpy(labels.astype(np.int64))


def _content(path: Path) -> bytes:
    packed = path.read_bytes()
    if path.suffix != ".gz":
        return packed
    try:
        return gzip.decompress(packed)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{path} must be a complete gzip file, got {len(packed):,} bytes that do not unpack "
            f"({error}). {CURE}"
        ) from error
