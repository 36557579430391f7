"""Processes that train together: the first one leads, all stop at once, and none waits for ever."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from ebm import distributed

T = TypeVar("T")


def lead(make: Callable[[], T], fabric: Any) -> T:
    """Return what the first process makes, on every process.

    Raises:
        Exception: What it raised, on every process too: none waits for one that has failed.
    """
    made: Any = None
    error: Exception | None = None
    if fabric.is_global_zero:
        try:
            made = make()
        except Exception as raised:
            error = raised
    if fabric.world_size > 1:
        made, error = fabric.broadcast((made, error))
    if error is not None:
        raise error
    return made


def align(method: nn.Module) -> None:
    """Give every process the first one's parameters and buffers, as DDP does at its start."""
    if distributed.world() > 1:
        for value in method.state_dict().values():
            dist.broadcast(value, 0)


def heard(signal: int | None, device: torch.device) -> int | None:
    """Return a signal that some process has received, the same on every one, or None."""
    number = torch.tensor(signal or 0, device=device)
    return int(distributed.largest(number)) or None


def lost(error: BaseException) -> bool:
    """Return whether an error is that of a connection to another process."""
    if isinstance(error, dist.DistError):
        return True
    signs = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
