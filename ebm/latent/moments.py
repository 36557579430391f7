"""Mean and covariance of all rows, in one pass over batches of all processes."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import distributed
from ebm.shapes import Matrix

ROWS = 2048
"""Rows of which a product is taken at once."""


def wide(x: Tensor) -> torch.dtype:
    """Return the dtype of sums over many rows: double where the device has it."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def moments(batches: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, Matrix]:
    """Return the mean, (dim,), and the covariance divided by the number of rows, (dim, dim).

    Both are taken in double precision, about the mean of the first rows: no digits cancel.
    """
    origin: Tensor | None = None
    total = square = count = torch.zeros(())
    for x, *_ in batches:
        rows = x.flatten(1)
        if origin is None:
            some = rows[:ROWS].to(wide(rows))
            shared = torch.stack([some.sum(0), torch.full_like(some[0], len(some))])
            shared = distributed.total(shared)
            origin = shared[0] / shared[1]
            total, square = torch.zeros_like(origin), origin.new_zeros(len(origin), len(origin))
            count = origin.new_zeros(())
        for part in rows.split(ROWS):  # in double precision they do not leave the cache
            part = part.to(origin.dtype) - origin
            total, square = total + part.sum(0), square.addmm_(part.T, part)
        count = count + len(rows)
    total, square, count = (distributed.total(value) for value in (total, square, count))
    shift = total / count
    center = shift if origin is None else origin + shift
    return center, square / count - torch.outer(shift, shift)
