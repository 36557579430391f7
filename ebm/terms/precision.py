"""Statistics are computed in at least float32, whatever autocast says."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

NARROW = torch.float16, torch.bfloat16


def full_precision(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return the function run without autocast on inputs of at least float32.

    float64 stays float64; gradients go back to the inputs in their own dtype.
    """

    @functools.wraps(function)
    def run(*inputs: object, **named: object) -> Result:
        device, narrow = "cpu", False
        for x in inputs:
            if isinstance(x, Tensor):
                device, narrow = x.device.type, narrow or x.dtype in NARROW
        if not narrow and not torch.is_autocast_enabled(device):
            return function(*inputs, **named)
        with torch.autocast(device, enabled=False):
            return function(*(_widened(x) for x in inputs), **named)

    return run


def in_full(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast, for the written-out gradients of a term.

    Where autocast is off there is nothing to enter, and that is the cheaper of the two.
    """
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _widened(x: object) -> object:
    return x.float() if isinstance(x, Tensor) and x.dtype in NARROW else x
