"""Data by name: what the command line takes."""

import difflib
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toy_data import checks
from toy_data.bars_and_stripes import bars_and_stripes
from toy_data.checkerboard import checkerboard
from toy_data.cifar10 import cifar10
from toy_data.digits import digits
from toy_data.eight_gaussians import eight_gaussians
from toy_data.fashion_mnist import fashion_mnist
from toy_data.folder import folder
from toy_data.function import from_function
from toy_data.ising import ising
from toy_data.labeled_gaussians import labeled_gaussians
from toy_data.mnist import mnist
from toy_data.pairs import pairs
from toy_data.pinwheel import pinwheel
from toy_data.rings import rings
from toy_data.sine_wave import sine_wave
from toy_data.spirals import spirals
from toy_data.swiss_roll import swiss_roll
from toy_data.twenty_five_gaussians import twenty_five_gaussians
from toy_data.two_moons import two_moons
from toy_data.uneven_gaussians import uneven_gaussians

_DRAWN: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "two-moons": two_moons,
    "rings": rings,
    "eight-gaussians": eight_gaussians,
    "twenty-five-gaussians": twenty_five_gaussians,
    "uneven-gaussians": uneven_gaussians,
    "pinwheel": pinwheel,
    "checkerboard": checkerboard,
    "spirals": spirals,
    "swiss-roll": swiss_roll,
    "sine-wave": sine_wave,
    "labeled-gaussians": labeled_gaussians,
    "pairs": pairs,
    "ising": ising,
}
_WHOLE: dict[str, Callable[[], Tensor | tuple[Tensor, ...]]] = {
    "bars-and-stripes": bars_and_stripes,
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
}


def names() -> list[str]:
    """Return the names that `load` knows."""
    return [*_DRAWN, *_WHOLE]


def load(
    data: str | os.PathLike[str], n: int = 10_000, *, generator: torch.Generator | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Return the data that a name, a path or the address of a function stands for.

    - a name of `names()`, however its words are joined: "two-moons", "two_moons";
    - a folder of pictures (see `folder`), or a .npy file of numbers;
    - "module:function" or "file.py:function" (see `from_function`).

    A name goes before a path: write "./digits" for a folder of that name. `n` is the number
    of points that are drawn; data that exist are returned whole, of MNIST, Fashion-MNIST
    and CIFAR-10 the training split.

    Raises:
        ValueError: Nothing of this name is known, or it cannot be read.
    """
    checks.count("n", n)
    text = os.fspath(data)
    known = {_plain(name): name for name in names()}
    name = known.get(_plain(text))
    if name in _DRAWN:
        return _DRAWN[name](n, generator=generator)
    if name in _WHOLE:
        return _WHOLE[name]()
    path = Path(text).expanduser()
    if text and path.is_dir():
        return folder(path)
    if path.is_file():
        return _array(path)
    if ":" in text:
        return from_function(text, n, generator=generator)
    if len(path.parts) > 1 or path.suffix or text.endswith(os.sep):
        raise ValueError(
            f"data must be a folder or a .npy file that exists, got {text!r}. Check the path."
        )
    close = difflib.get_close_matches(text.lower().replace("_", "-"), names(), n=3)
    meant = f"Did you mean {' or '.join(close)}? " if close else ""
    raise ValueError(
        f"data must be a known name, a folder of pictures, a .npy file or module:function, got "
        f"{text!r}. {meant}Known names: {', '.join(names())}."
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def _array(path: Path) -> Tensor:
    """Return the numbers of a .npy file as float32."""
    if path.suffix == ".py":
        raise ValueError(f"data must name a function, got {str(path)!r}. Write {path}:function.")
    if path.suffix != ".npy":
        raise ValueError(
            f"data must be a .npy file, got {str(path)!r}. Save the array with numpy.save."
        )
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} must be a complete .npy file of numbers, got one that cannot be read "
            f"({' '.join(str(error).split())}). Save the array again with numpy.save."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim < 1:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "npz"
        raise ValueError(
            f"{path} must hold floating-point numbers with the examples on the first axis, got "
            f"{found}. Call .astype('float32') before numpy.save."
        )
    if len(array) == 0:
        raise ValueError(
            f"{path} must hold at least one example, got shape {array.shape}. Check what wrote it."
        )
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
