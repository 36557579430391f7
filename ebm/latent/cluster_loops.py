"""A pass of Lloyd's in a loop that numba compiles: each row's nearest center, and the sums.

Import it where numba may be missing: it raises ImportError there.
"""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ebm.latent.loops import compiled

BLOCK = 32
"""Columns whose least one is found at once, by all threads."""


def add(
    values: Tensor, rows: Tensor, centers: Tensor, shifts: Tensor, counts: Tensor, error: Tensor
) -> Tensor:
    """Add rows to the sums, each to those of the center whose value is its least.

    Returns the squared distance of each row to that center.

    Args:
        values: A value for each row and center, then infinity up to a multiple of `BLOCK`
            columns: (batch, columns).
        rows: Rows, (batch, dim), on a processor.
        centers: Centers, (clusters, dim), as precise as the rows.
        shifts: Sums of the rows minus their centers, (clusters, dim).
        counts: Numbers of rows, (clusters,).
        error: Sum of squared distances, (1,).
    """
    blocks = values.unflatten(1, (-1, BLOCK)).amin(2)
    away = rows.new_empty(len(rows))
    tensors = (values, blocks, rows.contiguous(), centers, shifts, counts, error, away)
    _compiled()(*(tensor.detach().numpy() for tensor in tensors))
    return away


@functools.cache
def _compiled() -> Callable[..., Any]:
    return compiled(_add, fastmath=("contract", "reassoc", "nsz"))


def _add(values, blocks, rows, centers, shifts, counts, error, away):
    zero = values.dtype.type(0)
    for i in range(len(rows)):
        block = 0
        for b in range(len(blocks[i])):
            if blocks[i, b] < blocks[i, block]:
                block = b
        nearest = BLOCK * block
        while values[i, nearest] > blocks[i, block]:
            nearest += 1
        row, center, shift, square = rows[i], centers[nearest], shifts[nearest], zero
        for k in range(len(row)):
            offset = row[k] - center[k]
            shift[k] += offset
            square += offset * offset
        counts[nearest] += 1
        error[0] += square
        away[i] = square
