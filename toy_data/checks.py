"""Argument checks whose messages carry the cure."""

import math
import operator
from numbers import Real

import torch
from torch import Tensor


def count(name: str, value: int, least: int = 1) -> int:
    """Return the whole number, refused unless it is at least `least`."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or whole < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}, got {name}={value!r}. "
            f"Pass {name}={least} or more, without a fraction."
        )
    return whole


def finite(name: str, value: float) -> float:
    """Return the number, refused unless it is finite."""
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(
            f"{name} must be a finite number, got {name}={value!r}. Pass a plain number."
        )
    return value


def positive(name: str, value: float) -> float:
    """Return the number, refused unless it is finite and above zero."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(
            f"{name} must be a positive number, got {name}={value!r}. Pass a number above 0."
        )
    return value


def points(x: Tensor, dim: int = 2) -> Tensor:
    """Return the points, refused unless they are floating-point rows of `dim` numbers."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor, got {type(x).__name__}. Wrap it in torch.as_tensor.")
    if x.ndim != 2 or x.shape[1] != dim:
        raise ValueError(
            f"x must have shape (n, {dim}), got {tuple(x.shape)}. Call .reshape(-1, {dim}) on it."
        )
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}. Call .float() on it.")
    return x


def split(value: str) -> str:
    """Return the name of the split, refused unless it is "train", "test" or "all"."""
    if value not in ("train", "test", "all"):
        raise ValueError(
            f'split must be "train", "test" or "all", got split={value!r}. Pass "all" for both.'
        )
    return value


def device(generator: torch.Generator | None) -> torch.device:
    """Return the device on which this generator draws."""
    return torch.device("cpu") if generator is None else generator.device
