"""Gather and reduce over processes with exact gradients.

A term that gathers its inputs and returns the loss of the whole batch has, after DDP's
average over ranks, the gradient of one process on the concatenated batch. With one process
every function here returns its input.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if _running() else 1


def rank() -> int:
    """Return the number of this process, counted from 0."""
    return dist.get_rank() if _running() else 0


def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes, in rank order; gradients flow back to each."""
    return _Gather.apply(x) if world() > 1 else x  # pyright: ignore[reportReturnType]


def everyone(x: Tensor) -> Tensor:
    """Return the rows of all processes, in rank order, however many each has; no gradient."""
    x = x.detach()
    if world() == 1:
        return x
    counts = gather(torch.tensor([len(x)], device=x.device)).tolist()
    padded = x.new_zeros(max(counts), *x.shape[1:])
    padded[: len(x)] = x
    parts = gather(padded).split(max(counts))
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def total(x: Tensor) -> Tensor:
    """Return the sum over processes; gradients flow back to each."""
    return _Total.apply(x) if world() > 1 else x  # pyright: ignore[reportReturnType]


def var_mean(x: Tensor, *, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Return variance and mean of each column over all processes, which have equally many rows.

    Two sums of one number per column are exchanged, and no rows.
    """
    if world() == 1:
        return torch.var_mean(x, dim=0, correction=correction)
    count = len(x) * world()
    mean = total(x.sum(dim=0)) / count
    return total((x - mean).square().sum(dim=0)) / (count - correction), mean


def largest(x: Tensor) -> Tensor:
    """Return the elementwise maximum over processes, without a gradient."""
    if world() == 1:
        return x.detach()
    x = x.detach().clone()
    dist.all_reduce(x, op=dist.ReduceOp.MAX)
    return x


def _running() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Gather(torch.autograd.Function):
    # torch.distributed.nn.functional.all_gather returns wrong gradients on gloo when the
    # incoming gradient is not contiguous, and is deprecated.
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        slots = [torch.empty_like(x) for _ in range(world())]
        dist.all_gather(slots, x.contiguous())
        return torch.cat(slots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[rank() * ctx.rows : (rank() + 1) * ctx.rows]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous().clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient
