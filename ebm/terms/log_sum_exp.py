"""Log-sum-exp over inner products: what every contrastive term pushes up.

    products: F_i = log sum_j exp(<x_i, y_j>)        gram: F_i = log sum_{j != i} exp(<z_i, z_j>)

The plain formula holds the whole matrix. Above `DENSE` entries the same value comes in
blocks: nothing of size N x N is kept, the gradient recomputes each block, and the gram
matrix is visited by its upper half alone.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ebm.shapes import Embeddings, Energies, Matrix

DENSE = 2**20
"""Entries up to which the plain formula is used."""

CHUNK = 2**21
"""Entries of a block of rows."""

TILE = 1024
"""Rows and columns of a tile of the gram matrix."""

SAFE = 80.0
"""Largest range of exponents that one common shift keeps above float32's underflow."""


def products(x: Embeddings, y: Matrix, skip: tuple[int, ...] = ()) -> Energies:
    """Return log sum_j exp(<x_i, y_j>) for each row i of x.

    Row i leaves out the columns i + s for every s in `skip`.
    """
    if len(x) * len(y) <= DENSE:
        return products_plain(x, y, skip)
    return _Products.apply(x, y, skip)  # pyright: ignore[reportReturnType]


def products_plain(x: Embeddings, y: Matrix, skip: tuple[int, ...] = ()) -> Energies:
    """Return `products` by the plain formula, which holds the whole matrix."""
    if not skip:
        return torch.logsumexp(x @ y.mT, dim=1)
    left_out = x.new_zeros(len(x), len(y))
    for offset in skip:
        left_out.diagonal(offset).fill_(-math.inf)
    return torch.logsumexp(torch.addmm(left_out, x, y.mT), dim=1)


def gram(z: Matrix, largest: float) -> Energies:
    """Return log sum_{j != i} exp(<z_i, z_j>) for each row i.

    `largest` bounds the squared norm of the rows: 1 / temperature for unit vectors.
    """
    if len(z) ** 2 <= DENSE:
        return products_plain(z, z, (0,))
    if 2 * largest > SAFE:  # one common shift would underflow
        return products(z, z, (0,))
    return _Gram.apply(z, largest)  # pyright: ignore[reportReturnType]


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, skip: tuple[int, ...]) -> Tensor:
        values = x.new_empty(len(x))
        for rows in _rows(x, y):
            values[rows] = torch.logsumexp(_block(x, y, rows, skip), dim=1)
        ctx.save_for_backward(x, y, values)
        ctx.skip = skip
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y, values = ctx.saved_tensors
        to_x, to_y = torch.empty_like(x), torch.zeros_like(y)
        with torch.autocast(x.device.type, enabled=False):
            for rows in _rows(x, y):
                shares = _block(x, y, rows, ctx.skip).sub_(values[rows, None]).exp_()
                shares.mul_(gradient[rows, None])
                torch.mm(shares, y, out=to_x[rows])
                to_y.addmm_(shares.mT, x[rows])
        return to_x, to_y, None


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, largest: float) -> Tensor:
        sums = z.new_zeros(len(z))
        for rows, columns in _tiles(len(z)):
            tile = _tile(z, rows, columns, largest)
            sums[rows] += tile.sum(dim=1)
            if rows != columns:
                sums[columns] += tile.sum(dim=0)
        values = sums.log().add_(largest)
        ctx.save_for_backward(z, values)
        ctx.largest = largest
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        z, values = ctx.saved_tensors
        weights = gradient * (ctx.largest - values).exp()
        to_z = torch.zeros_like(z)
        with torch.autocast(z.device.type, enabled=False):
            for rows, columns in _tiles(len(z)):
                tile = _tile(z, rows, columns, ctx.largest)
                tile.mul_(weights[rows, None] + weights[columns])
                to_z[rows].addmm_(tile, z[columns])
                if rows != columns:
                    to_z[columns].addmm_(tile.mT, z[rows])
        return to_z, None


def _rows(x: Tensor, y: Tensor) -> Iterator[slice]:
    size = max(CHUNK // len(y), 1)
    for start in range(0, len(x), size):
        yield slice(start, min(start + size, len(x)))


def _block(x: Tensor, y: Tensor, rows: slice, skip: tuple[int, ...]) -> Tensor:
    scores = x[rows] @ y.mT
    for offset in skip:
        scores.diagonal(offset + rows.start).fill_(-math.inf)
    return scores


def _tiles(count: int) -> Iterator[tuple[slice, slice]]:
    edges = [slice(start, min(start + TILE, count)) for start in range(0, count, TILE)]
    for i, rows in enumerate(edges):
        for columns in edges[i:]:
            yield rows, columns


def _tile(z: Tensor, rows: slice, columns: slice, largest: float) -> Tensor:
    tile = (z[rows] @ z[columns].mT).sub_(largest).exp_()
    if rows == columns:
        tile.fill_diagonal_(0)
    return tile
