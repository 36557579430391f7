"""A folder of pictures."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toy_data import checks
from toy_data.images import Images

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_GRAY = {"1", "L", "LA"}
_DEEP = ("I", "F")  # more than 8 bits a channel: what white is, the file does not say


def folder(path: str | os.PathLike[str], size: int | tuple[int, int] | None = None) -> Images:
    """Return the pictures of a folder; each subfolder is a class, in the names' order.

    Pictures directly in the folder have the label 0. They are gray, one channel, if all
    files are, and color otherwise. With `size`, (height, width) or one number for both, in
    pixels, each is cut about its center to that aspect ratio and resized; without it all
    must have one shape.

    Raises:
        ValueError: The folder is missing or holds no pictures, or a picture cannot be read
            or differs in shape.
    """
    shape = _shape(size)
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"path must be a folder of pictures, got {str(path)!r}. Check its name.")
    classes = _classes(root)
    files = [(file, label) for label, found in enumerate(classes) for file in found]
    pictures = [_read(file, shape) for file, _ in files]
    gray = all(picture.shape[0] == 1 for picture in pictures)
    if not gray:
        pictures = [picture.expand(3, *picture.shape[1:]) for picture in pictures]
    for (file, _), picture in zip(files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            (height, width), (first, second) = picture.shape[1:], pictures[0].shape[1:]
            raise ValueError(
                f"pictures must have one shape, got {height}x{width} for {file} and "
                f"{first}x{second} for {files[0][0]}. Resize them, or load them in Python with "
                f"toy_data.folder(path, size={min(first, second)})."
            )
    labels = torch.tensor([label for _, label in files])
    return Images(torch.stack(pictures), labels)


def _shape(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = size if isinstance(size, tuple) else (size, size)
    return checks.count("size", height), checks.count("size", width)


def _classes(root: Path) -> Sequence[list[Path]]:
    """Return the files of each class."""
    loose = _pictures(root.iterdir())
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    classes = [found for found in (_pictures(p.rglob("*")) for p in folders) if found]
    if loose and classes:
        raise ValueError(
            f"{root} must hold pictures or folders of pictures, got both: {loose[0].name} lies "
            "beside the class folders. Move it into one of them."
        )
    if not loose and not classes:
        raise ValueError(
            f"{root} must hold pictures or folders of pictures, got none. Known endings: "
            f"{' '.join(sorted(_SUFFIXES))}."
        )
    return classes or [loose]


def _pictures(paths: Iterable[Path]) -> list[Path]:
    """Return those of the paths that are pictures, hidden ones left out."""
    return sorted(
        p
        for p in paths
        if p.suffix.lower() in _SUFFIXES and p.is_file() and not p.name.startswith(".")
    )


def _read(file: Path, shape: tuple[int, int] | None) -> Tensor:
    """Return a picture, float32 in [0, 1], shape (1 or 3, height, width)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(_DEEP):
                raise ValueError(
                    f"{file} must have 8 bits per channel, got mode {opened.mode}. "
                    "Convert it to an 8-bit PNG."
                )
            mode = "L" if opened.mode in _GRAY else "RGB"
            image = ImageOps.exif_transpose(opened).convert(mode)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file} must be a picture, got a file that cannot be read ({reason}). "
            "Repair it or take it out of the folder."
        ) from error
    if shape is not None:
        image = ImageOps.fit(image, (shape[1], shape[0]), method=Image.Resampling.BICUBIC)
    values = np.asarray(image, dtype=np.float32) / 255
    return torch.from_numpy(values.reshape(image.height, image.width, -1)).permute(2, 0, 1)
