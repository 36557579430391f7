"""Coordinate descent for sparse codes, one coordinate at a time, in loops that numba compiles.

Import it where numba may be missing: it raises ImportError there.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ebm.latent.crew import Crew
from ebm.latent.loops import compiled
from ebm.shapes import Codes, Matrix, Points

PIECES = 4
"""Pieces of the rows for each thread: examples differ in how long they take."""
FEW = 2**12
"""Numbers up to which threads are not worth their start."""


def solve(
    x: Points, atoms: Matrix, weight: float, tolerance: float, rounds: int, sweeps: int, z: Codes
) -> Codes:
    """Return codes from the start z, which is not changed, whose gaps are closed but for rounding.

    Args:
        x: Examples, (batch, dim), on a processor.
        atoms: The dictionary, (atoms, dim).
        weight: Weight of |z|_1.
        tolerance: Gap, in units of |x|^2, at which an example has converged.
        rounds: The most rounds: a sweep over all coordinates, then some over the support.
        sweeps: The most sweeps over the support in a round.
        z: Where to start, (batch, atoms).
    """
    # Nothing is multiplied by torch's own threads: they spin for a while where these work.
    crew = Crew(lambda: None, z.device)
    gram, z = atoms.new_empty(len(atoms), len(atoms)), z.contiguous().clone()
    parts = -(-len(atoms) // crew.threads)
    crew.each(
        list(zip(atoms.split(parts), gram.split(parts), strict=True)),
        lambda _, part: torch.mm(part[0], atoms.T, out=part[1]),
        alone=gram.numel() < FEW,
    )
    table = gram.numpy()
    kind = table.dtype.type
    numbers = kind(weight), kind(tolerance), kind(tolerance / 100), rounds, sweeps

    def descend(_: None, part: tuple[Tensor, Tensor]) -> None:
        x, z = part
        push, size = x @ atoms.T, x.square().sum(1)
        _compiled()(table, *numbers, push.numpy(), size.numpy(), z.numpy())

    parts = -(-len(z) // (PIECES * crew.threads)) or 1
    crew.each(
        list(zip(x.split(parts), z.split(parts), strict=True)), descend, alone=z.numel() < FEW
    )
    return z


@functools.cache
def _compiled() -> Callable[..., None]:
    return compiled(_descend, fastmath=("contract", "reassoc", "nsz"))


def _descend(gram, weight, tolerance, small, rounds, sweeps, push, size, codes):
    """Minimize |x - W z|^2 / 2 + weight |z|_1 for each example, given W^T W and W^T x.

    `down` is W^T (x - W z), minus the slope of the smooth part; it follows every move.
    """
    count, zero = push.shape[1], weight * 0
    down, support = np.empty(count, push.dtype), np.empty(count, np.int64)
    part = np.empty((count, count), push.dtype)  # the gram matrix of the support
    near, new, old = np.empty_like(down), np.empty_like(down), np.empty_like(down)
    for i in range(len(push)):
        z = codes[i]
        down[:] = push[i]
        for j in range(count):
            if z[j] != 0:
                down -= z[j] * gram[j]
        for _ in range(rounds):
            # A sweep over all coordinates.
            moved = zero
            for j in range(count):
                to = zero
                if gram[j, j] > 0:
                    u = down[j] + gram[j, j] * z[j]
                    to = (max(u - weight, zero) + min(u + weight, zero)) / gram[j, j]
                move = to - z[j]
                if move != 0:
                    z[j], moved = to, max(moved, gram[j, j] * move * move)
                    row = gram[j]
                    for k in range(count):
                        down[k] -= row[k] * move
            # The duality gap.
            steepest, absolute, along, across, used = zero, zero, zero, zero, 0
            for j in range(count):
                steepest = max(steepest, abs(down[j]))
                absolute += abs(z[j])
                along += z[j] * push[i, j]
                across += z[j] * down[j]
                if z[j] != 0:
                    support[used] = j
                    used += 1
            along = size[i] - along  # the residual times x
            square = along - across  # its square
            share = weight / max(steepest, weight)
            gap = square / 2 + weight * absolute - share * along + share * share * square / 2
            if gap <= tolerance * size[i] or moved == 0:
                break
            # Sweeps over the support alone.
            for a in range(used):
                near[a], new[a], old[a] = down[support[a]], z[support[a]], z[support[a]]
                for b in range(used):
                    part[a, b] = gram[support[a], support[b]]
            for _ in range(sweeps):
                moved = zero
                for a in range(used):
                    u = near[a] + part[a, a] * new[a]
                    to = (max(u - weight, zero) + min(u + weight, zero)) / part[a, a]
                    move = to - new[a]
                    if move != 0:
                        new[a], moved = to, max(moved, part[a, a] * move * move)
                        row = part[a]
                        for b in range(used):
                            near[b] -= row[b] * move
                if moved <= small * size[i]:
                    break
            for a in range(used):
                move = new[a] - old[a]
                if move != 0:
                    z[support[a]] = new[a]
                    row = gram[support[a]]
                    for k in range(count):
                        down[k] -= row[k] * move
