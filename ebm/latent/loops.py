"""Loops that numba compiles: import it where numba may be missing, it raises ImportError there."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numba


def compiled(function: Callable[..., Any], fastmath: Iterable[str]) -> Callable[..., Any]:
    """Return a function compiled to let go of the interpreter's lock, and remembered on disk.

    Args:
        function: Loops over arrays, in the part of Python that numba knows.
        fastmath: LLVM's names for what may differ from the order of the text.
    """
    plain = inspect.unwrap(function)
    options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath)}
    try:
        return numba.njit(cache=True, **options)(plain)
    except RuntimeError:  # there is no folder to remember it in
        return numba.njit(**options)(plain)
