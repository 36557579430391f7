"""Mean and covariance of all rows, in one pass over batches of all processes."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import distributed
from ebm.shapes import Matrix

ROWS = 2048
"""Rows of which a product is taken at once: in double precision they do not leave the cache."""
SMALL = 2**16
"""Entries that the products of pieces of the rows may have together.

A small product is taken of several pieces at once, which keeps all threads busy.
"""


def wide(x: Tensor) -> torch.dtype:
    """Return the dtype of sums over many rows: double where the device has it."""
    return torch.float32 if x.device.type == "mps" else torch.float64


@torch.no_grad()
def moments(batches: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, Matrix]:
    """Return the mean, (dim,), and the covariance divided by the number of rows, (dim, dim).

    Both are taken in double precision, about the mean of the first rows: no digits cancel.
    """
    sums: _Sums | None = None
    for x, *_ in batches:
        rows = x.flatten(1)
        if sums is None:
            sums = _Sums(_first_mean(rows))
        for some in rows.split(ROWS):
            sums.add(some)
    if sums is None:
        raise ValueError("data must hold one batch at least, got none. Pass a batch.")
    square = sums.square.sum(0)
    total, square, count = (distributed.total(v) for v in (sums.total, square, sums.count))
    shift = total / count
    return sums.origin + shift, square / count - torch.outer(shift, shift)


def _first_mean(rows: Tensor) -> Tensor:
    some = rows[:ROWS].to(wide(rows))
    total, count = distributed.total(
        torch.stack([some.sum(0), torch.full_like(some[0], len(some))])
    )
    return total / count


class _Sums:
    """Sums of rows and of their products about an origin, the latter in pieces."""

    def __init__(self, origin: Tensor) -> None:
        dim = len(origin)
        self.origin, self.total, self.count = origin, torch.zeros_like(origin), origin.new_zeros(())
        self.pieces = max(1, min(8, SMALL // dim**2))
        self.square = origin.new_zeros(self.pieces, dim, dim)
        self.buffer = origin.new_empty(ROWS, dim)

    def add(self, rows: Tensor) -> None:
        near = torch.sub(rows, self.origin, out=self.buffer[: len(rows)])
        self.total += near.sum(0)
        self.count += len(rows)
        whole = len(near) - len(near) % self.pieces
        if whole:
            pieces = near[:whole].unflatten(0, (self.pieces, -1))
            self.square.baddbmm_(pieces.mT, pieces)
        if whole < len(near):
            self.square[0].addmm_(near[whole:].T, near[whole:])
