"""Coordinate descent for sparse codes, one coordinate at a time, in loops that numba compiles.

Import it where numba may be missing: it raises ImportError there.
"""

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ebm.latent.loops import compiled
from ebm.shapes import Codes, Matrix, Points

PIECES = 4
"""Pieces of the rows for each thread: examples differ in how long they take."""


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
    threads = torch.get_num_threads()
    push, z = (x @ atoms.T).numpy(), z.contiguous().clone()
    gram, size, codes = (atoms @ atoms.T).numpy(), x.square().sum(1).numpy(), z.numpy()
    kind = push.dtype.type
    loops = functools.partial(
        _compiled(), gram, kind(weight), kind(tolerance), kind(tolerance / 100), rounds, sweeps
    )
    edges = np.linspace(0, len(push), PIECES * threads + 1).astype(int)
    pieces = [slice(a, b) for a, b in itertools.pairwise(edges) if a < b]
    with ThreadPoolExecutor(threads) as pool:  # the loops let go of the interpreter's lock
        for _ in pool.map(lambda rows: loops(push[rows], size[rows], codes[rows]), pieces):
            pass
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
