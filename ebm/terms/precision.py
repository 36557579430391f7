"""Statistics are computed in at least float32, whatever autocast says."""

import functools
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


def full_precision(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return the function run without autocast on inputs of at least float32.

    float64 stays float64; gradients go back to the inputs in their own dtype.
    """

    @functools.wraps(function)
    def run(*inputs: object, **named: object) -> Result:
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        if not torch.is_autocast_enabled(device) and not any(map(_narrow, tensors)):
            return function(*inputs, **named)
        with torch.autocast(device, enabled=False):
            return function(*(_widened(x) for x in inputs), **named)

    return run


def _narrow(x: Tensor) -> bool:
    return x.dtype in (torch.float16, torch.bfloat16)


def _widened(x: object) -> object:
    return x.float() if isinstance(x, Tensor) and _narrow(x) else x
