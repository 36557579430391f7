"""CIFAR-10: small color photographs.

The official binary layout: records of one label byte, then 32x32 bytes each of red, green
and blue; 10,000 records in each of five training files and one test file.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from toy_data import checks
from toy_data.download import MissingData, data_folder, fetch
from toy_data.idx import CURE, classes, unit
from toy_data.images import Images

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
FOLDER = "cifar-10-batches-bin"

_RECORDS, _BYTES = 10_000, 1 + 3 * 32 * 32
_TEST = ["test_batch.bin"]
_TRAIN = [f"data_batch_{k}.bin" for k in range(1, 6)]
_FILES = {"train": _TRAIN, "test": _TEST, "all": _TRAIN + _TEST}


def cifar10(split: str = "train") -> Images:
    """Return color 32x32 photographs in 10 classes: 50,000 for "train", 10,000 for "test".

    The files lie in `cifar-10-batches-bin` of the folder that the variable EBM_DATA names,
    by default the user's cache; the official archive is unpacked there if it lies beside
    that folder, and downloaded if it does not.

    Reference: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Raises:
        ValueError: The split is unknown, or a file is truncated, garbled or missing.
    """
    names = _FILES[checks.split(split)]
    folder = data_folder() / FOLDER
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        archive = data_folder() / URL.rsplit("/", 1)[-1]
        needed = [archive.name, *(f"{FOLDER}/{name}" for name in missing)]
        fetch(archive, url=URL, md5=MD5, needed=[f"{needed[0]} (or {', '.join(needed[1:])})"])
        _unpack(archive, folder, missing)
    paths = [folder / name for name in names]
    records = np.stack([_records(path) for path in paths])
    labels = [classes(part[:, 0], path) for part, path in zip(records, paths, strict=True)]
    return Images(unit(records[..., 1:]).reshape(-1, 3, 32, 32), torch.cat(labels))


def _records(path: Path) -> NDArray[np.uint8]:
    """Return the records of a file, one a row."""
    content = np.fromfile(path, dtype=np.uint8)
    if content.size != _RECORDS * _BYTES:
        raise ValueError(
            f"{path} must hold {_RECORDS * _BYTES:,} bytes, got {content.size:,}. {CURE}"
        )
    return content.reshape(_RECORDS, _BYTES)


def _unpack(archive: Path, folder: Path, names: list[str]) -> None:
    """Write the named members of the archive into the folder, and nothing else."""
    try:
        with tarfile.open(archive) as files:
            members = {f"{FOLDER}/{name}": None for name in names}
            for member in files:
                if member.isfile() and member.name.removeprefix("./") in members:
                    # Only the content is taken, to a name of ours: no path, link or mode.
                    source = files.extractfile(member)
                    if source is not None:
                        _write(folder / Path(member.name).name, source.read())
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{archive} must be a complete tar.gz archive, got {archive.stat().st_size:,} bytes "
            f"that do not unpack ({error}). {CURE}"
        ) from error
    except OSError as error:
        raise MissingData(
            f"{folder} must be writable to unpack {archive.name}, got: {error}. Unpack the "
            "archive there by hand, or set EBM_DATA to a folder of your own."
        ) from error
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise ValueError(
            f"{archive} must hold {', '.join(absent)} in {FOLDER}, got no such files. {CURE}"
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
