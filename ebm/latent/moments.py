"""Mean and covariance of all rows, in one pass over batches of all processes."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import distributed
from ebm.shapes import Matrix


def wide(x: Tensor) -> torch.dtype:
    """Return the dtype of sums over many rows: double where the device has it."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def moments(batches: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, Matrix]:
    """Return the mean, (dim,), and the covariance divided by the number of rows, (dim, dim).

    Both are taken in double precision, about a row near the data, so that no digits cancel.
    """
    origin: Tensor | None = None
    total = square = count = torch.zeros(())
    for x, *_ in batches:
        rows = x.flatten(1)
        if origin is None:
            dtype = wide(rows)
            shared = torch.stack(
                [rows.sum(0, dtype=dtype), rows.new_full(rows[0].shape, len(rows), dtype=dtype)]
            )
            shared = distributed.total(shared)
            origin = shared[0] / shared[1]
            total, square = torch.zeros_like(origin), origin.new_zeros(len(origin), len(origin))
            count = origin.new_zeros(())
        rows = rows.to(origin.dtype) - origin
        total, square, count = total + rows.sum(0), square + rows.T @ rows, count + len(rows)
    total, square, count = (distributed.total(value) for value in (total, square, count))
    shift = total / count
    center = shift if origin is None else origin + shift
    return center, square / count - torch.outer(shift, shift)
