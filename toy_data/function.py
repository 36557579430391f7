"""Data that a user's own function makes: "module:function" or "file.py:function"."""

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor


def from_function(
    address: str, n: int = 10_000, *, generator: torch.Generator | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Return what the function at "module:function" or "file.py:function" returns.

    It is called with `n` and `generator` if it has parameters of these names. It must
    return a tensor or an array, or a tuple of them of equal length. Modules are found in
    the current folder too.

    Raises:
        ValueError: The module or the function is not found, or needs other arguments.
        TypeError: It returns something else.
    """
    with _importing_from_here():
        function, arguments = _found(address, {"n": n, "generator": generator})
        try:
            made = function(**arguments)
        except (Exception, SystemExit) as error:
            raise ValueError(
                f"{address} must return data, got {type(error).__name__}: {error}. "
                "Call it in Python to see where that comes from."
            ) from error
        return _tensors(made, address)


def _found(address: str, offered: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the function and those of the offered arguments that it has parameters for."""
    place, _, name = address.rpartition(":")
    module = _module(place, address)
    function = getattr(module, name, None)
    if not callable(function):
        public = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        close = difflib.get_close_matches(name, public, n=3)
        meant = f"Did you mean {' or '.join(close)}?" if close else "Check its spelling."
        raise ValueError(f"data must name a function of {place}, got {address!r}. {meant}")
    signature = inspect.signature(function)
    arguments = {key: value for key, value in offered.items() if key in signature.parameters}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"{address} must need no arguments but n and generator, got a function of "
            f"({', '.join(signature.parameters)}). Give the others defaults."
        ) from error
    return function, arguments


def _module(place: str, address: str) -> ModuleType:
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise ValueError(f"data must name an existing file, got {address!r}. Check the path.")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ValueError(
                f"{path} must be a Python file, got one that cannot be loaded. Check it."
            )
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise _unrunnable(place, error) from error
        return module
    if not all(word.isidentifier() for word in place.split(".")):
        raise ValueError(
            f"data must name a module, got {address!r}. Write module:function or file.py:function."
        )
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise _unrunnable(place, error) from error  # the user's own module misses another
        raise ValueError(
            f"data must name a module that can be imported, got {address!r}. Run from the folder "
            "that holds the module, or write file.py:function."
        ) from error
    except (Exception, SystemExit) as error:
        raise _unrunnable(place, error) from error


def _unrunnable(place: str, error: BaseException) -> ValueError:
    return ValueError(
        f"{place} must run when it is imported, got {type(error).__name__}: {error}. "
        "Import it in Python to see where that comes from."
    )


@contextmanager
def _importing_from_here() -> Iterator[None]:
    """Find modules in the current folder too, as `python -m` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _tensors(data: Any, address: str) -> Tensor | tuple[Tensor, ...]:
    parts = data if isinstance(data, tuple) else (data,)
    for part in parts:
        if not isinstance(part, Tensor | np.ndarray):
            raise TypeError(
                f"{address} must return a tensor, an array or a tuple of them, got "
                f"{type(part).__name__}. Convert it with torch.as_tensor."
            )
    try:
        tensors = tuple(torch.as_tensor(part) for part in parts)
    except TypeError as error:
        kinds = ", ".join(str(part.dtype) for part in parts)
        raise TypeError(
            f"{address} must return numbers, got {kinds}. Call .astype('float32') on the array."
        ) from error
    shapes = [tuple(part.shape) for part in tensors]
    if not tensors or any(len(s) == 0 or s[0] != shapes[0][0] or s[0] == 0 for s in shapes):
        raise ValueError(
            f"{address} must return tensors of one length, at least 1, got shapes {shapes}. "
            "Put the examples on the first axis of each."
        )
    if not isinstance(data, tuple):
        return tensors[0]
    make = getattr(data, "_make", tuple)  # a named tuple keeps its names
    return make(tensors)
