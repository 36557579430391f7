"""Log-sum-exp over inner products: what every contrastive term pushes up.

    products: F_i = log sum_j exp(<x_i, y_j>)        gram: F_i = log sum_{j != i} exp(<z_i, z_j>)
    both:     F_i and G_j = log sum_i exp(<x_i, y_j>)

The plain formulas hold the whole matrix. The fast path visits it in tiles: nothing of size
N x N is kept, the gradient recomputes each tile, and the gram matrix is visited by its upper
half alone. A matrix that is one tile is kept. Products of unit vectors over a temperature
have a bound, below which their exponentials are summed as they are.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ebm.shapes import Embeddings, Energies, Matrix
from ebm.terms.precision import in_full
from ebm.terms.second_derivatives import through

TILE = 1024
"""Rows and columns of a tile."""

CHUNK = 2**21
"""Entries of a block of whole rows, where there is no bound."""

SAFE = 40.0
"""Largest exponent whose exponentials, and their inverses, sum up well in float32."""


def products(
    x: Embeddings, y: Matrix, skip: tuple[int, ...] = (), largest: float = math.inf
) -> Energies:
    """Return log sum_j exp(<x_i, y_j>) for each row i of x.

    Row i leaves out the columns i + s for every s in `skip`. `largest` bounds the products.
    """
    kind = _Products if largest <= SAFE else _ShiftedProducts
    return kind.apply(x, y, skip)  # pyright: ignore[reportReturnType]


def products_plain(x: Embeddings, y: Matrix, skip: tuple[int, ...] = ()) -> Energies:
    """Return `products` by the plain formula, which holds the whole matrix."""
    left_out = x.new_zeros(len(x), len(y))
    for offset in skip:
        left_out.diagonal(offset).fill_(-math.inf)
    return torch.logsumexp(left_out + x @ y.mT, dim=1)


def both(x: Embeddings, y: Embeddings, largest: float = math.inf) -> tuple[Energies, Energies]:
    """Return log sum_j exp(<x_i, y_j>) for each i, and log sum_i for each j."""
    if largest > SAFE:
        return products(x, y), products(y, x)
    return _Both.apply(x, y)  # pyright: ignore[reportReturnType]


def both_plain(x: Embeddings, y: Embeddings) -> tuple[Energies, Energies]:
    """Return `both` by the plain formula."""
    logits = x @ y.mT
    return torch.logsumexp(logits, dim=1), torch.logsumexp(logits, dim=0)


def gram(z: Matrix, largest: float, skip: tuple[int, ...] = (0,)) -> Energies:
    """Return log sum_j exp(<z_i, z_j>) for each row i, without the j that are i +- s.

    `skip` lists the s, from 0; `largest` bounds the squared norm of the rows: 1 / temperature
    for unit vectors.
    """
    if largest > SAFE:
        return products(z, z, _either_way(skip))
    return _Gram.apply(z, skip)  # pyright: ignore[reportReturnType]


def gram_plain(z: Matrix, skip: tuple[int, ...] = (0,)) -> Energies:
    """Return `gram` by the plain formula."""
    return products_plain(z, z, _either_way(skip))


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, skip: tuple[int, ...]) -> Tensor:
        sums = x.new_zeros(len(x))
        tile = buffer = _buffer(x, y)
        for rows, columns in _tiles(len(x), len(y)):
            tile = _exponentials(x, y, rows, columns, skip, buffer)
            sums[rows] += tile.sum(dim=1)
        ctx.save_for_backward(x, y, sums, *_kept(tile, x, y))
        ctx.skip = skip
        return sums.log()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, sums, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = through(
                lambda x, y: products_plain(x, y, ctx.skip),
                (x, y), ctx.needs_input_grad[:2], gradient,
            )  # fmt: skip
            return *plain, None
        weights = (gradient / sums)[:, None]
        to_x, to_y, weighted = _zeros(ctx, 0, x), _zeros(ctx, 1, y), x * weights
        with in_full(x):
            buffer = x.new_empty(0) if kept else _buffer(x, y)
            for rows, columns in _tiles(len(x), len(y)):
                tile = kept[0] if kept else _exponentials(x, y, rows, columns, ctx.skip, buffer)
                if to_x is not None:
                    to_x[rows].addmm_(tile, y[columns])
                if to_y is not None:
                    to_y[columns].addmm_(tile.mT, weighted[rows])
        return to_x if to_x is None else to_x.mul_(weights), to_y, None


class _ShiftedProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, skip: tuple[int, ...]) -> Tensor:
        values = x.new_empty(len(x))
        for rows in _rows(x, y):
            values[rows] = torch.logsumexp(_block(x, y, rows, skip), dim=1)
        ctx.save_for_backward(x, y, values)
        ctx.skip = skip
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, values = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = through(
                lambda x, y: products_plain(x, y, ctx.skip),
                (x, y), ctx.needs_input_grad[:2], gradient,
            )  # fmt: skip
            return *plain, None
        to_x, to_y = torch.empty_like(x), _zeros(ctx, 1, y)
        with in_full(x):
            for rows in _rows(x, y):
                shares = _block(x, y, rows, ctx.skip).sub_(values[rows, None]).exp_()
                shares.mul_(gradient[rows, None])
                torch.mm(shares, y, out=to_x[rows])
                if to_y is not None:
                    to_y.addmm_(shares.mT, x[rows])
        return to_x, to_y, None


class _Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        of_rows, of_columns = x.new_zeros(len(x)), y.new_zeros(len(y))
        tile = buffer = _buffer(x, y)
        for rows, columns in _tiles(len(x), len(y)):
            tile = _exponentials(x, y, rows, columns, (), buffer)
            of_rows[rows] += tile.sum(dim=1)
            of_columns[columns] += tile.sum(dim=0)
        ctx.save_for_backward(x, y, of_rows, of_columns, *_kept(tile, x, y))
        return of_rows.log(), of_columns.log()

    @staticmethod
    def backward(ctx: Any, of_rows: Tensor, of_columns: Tensor) -> tuple[Tensor | None, ...]:
        x, y, row_sums, column_sums, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            return through(both_plain, (x, y), ctx.needs_input_grad, of_rows, of_columns)
        row_weights, column_weights = of_rows / row_sums, of_columns / column_sums
        to_x, to_y = _zeros(ctx, 0, x), _zeros(ctx, 1, y)
        with in_full(x):
            buffer, other = _buffer(x, y), x.new_empty(0) if kept else _buffer(x, y)
            for rows, columns in _tiles(len(x), len(y)):
                tile = kept[0] if kept else _exponentials(x, y, rows, columns, (), other)
                weights = _outer_sum(row_weights[rows], column_weights[columns], buffer).mul_(tile)
                if to_x is not None:
                    to_x[rows].addmm_(weights, y[columns])
                if to_y is not None:
                    to_y[columns].addmm_(weights.mT, x[rows])
        return to_x, to_y


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, skip: tuple[int, ...]) -> Tensor:
        sums = z.new_zeros(len(z))
        tile = buffer = _buffer(z, z)
        for rows, columns in _tiles(len(z), len(z), upper=True):
            tile = _exponentials(z, z, rows, columns, _local(skip, rows, columns), buffer)
            sums[rows] += tile.sum(dim=1)
            if rows != columns:
                sums[columns] += tile.sum(dim=0)
        ctx.save_for_backward(z, sums, *_kept(tile, z, z))
        ctx.skip = skip
        return sums.log()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None]:
        z, sums, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            (to_z,) = through(lambda z: gram_plain(z, ctx.skip), (z,), (True,), gradient)
            return to_z, None
        shares, to_z = gradient / sums, torch.zeros_like(z)
        with in_full(z):
            buffer, other = _buffer(z, z), z.new_empty(0) if kept else _buffer(z, z)
            for rows, columns in _tiles(len(z), len(z), upper=True):
                skip = _local(ctx.skip, rows, columns)
                tile = kept[0] if kept else _exponentials(z, z, rows, columns, skip, other)
                weights = _outer_sum(shares[rows], shares[columns], buffer).mul_(tile)
                to_z[rows].addmm_(weights, z[columns])
                if rows != columns:
                    to_z[columns].addmm_(weights.mT, z[rows])
        return to_z, None


def _exponentials(
    x: Tensor, y: Tensor, rows: slice, columns: slice, skip: tuple[int, ...], buffer: Tensor
) -> Tensor:
    """Return a tile of exp(x y^T), in the buffer if it fits, without what is skipped."""
    a, b = x[rows], y[columns]
    fits = buffer.shape == (len(a), len(b))
    tile = torch.mm(a, b.mT, out=buffer) if fits else a @ b.mT
    tile.exp_()
    for offset in skip:
        place = offset + rows.start - columns.start
        if -len(a) < place < len(b):
            tile.diagonal(place).zero_()
    return tile


def _outer_sum(of_rows: Tensor, of_columns: Tensor, buffer: Tensor) -> Tensor:
    if buffer.shape == (len(of_rows), len(of_columns)):
        return torch.add(of_rows[:, None], of_columns, out=buffer)
    return of_rows[:, None] + of_columns


def _buffer(x: Tensor, y: Tensor) -> Tensor:
    return x.new_empty(min(len(x), TILE), min(len(y), TILE))


def _kept(tile: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Return the only tile, or nothing where there are several."""
    return (tile,) if tile.shape == (len(x), len(y)) else ()


def _zeros(ctx: Any, place: int, like: Tensor) -> Tensor | None:
    return torch.zeros_like(like) if ctx.needs_input_grad[place] else None


def _either_way(skip: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(sign * s for s in skip for sign in (1, -1)))


def _local(skip: tuple[int, ...], rows: slice, columns: slice) -> tuple[int, ...]:
    """Return the offsets of a tile of the upper half; on the diagonal both ways."""
    return _either_way(skip) if rows == columns else skip


def _tiles(rows: int, columns: int, *, upper: bool = False) -> Iterator[tuple[slice, slice]]:
    sides = [
        [slice(start, min(start + TILE, count)) for start in range(0, count, TILE)]
        for count in (rows, columns)
    ]
    for i, first in enumerate(sides[0]):
        for second in sides[1][i:] if upper else sides[1]:
            yield first, second


def _rows(x: Tensor, y: Tensor) -> Iterator[slice]:
    size = max(CHUNK // len(y), 1)
    for start in range(0, len(x), size):
        yield slice(start, min(start + size, len(x)))


def _block(x: Tensor, y: Tensor, rows: slice, skip: tuple[int, ...]) -> Tensor:
    scores = x[rows] @ y.mT
    for offset in skip:
        scores.diagonal(offset + rows.start).fill_(-math.inf)
    return scores
