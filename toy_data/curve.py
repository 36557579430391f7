"""The density of a curve that is blurred by isotropic Gaussian noise.

    p(x) = int_0^1 w(t) N(x; c(t), noise^2 I) dt

for a curve c and a weight w that integrates to 1. The integral is a composite
Gauss-Legendre sum: twelve nodes on every piece of the curve that is at most two noise
standard deviations long. Its log is exact to 1e-8 within ten standard deviations of the
curve, and to 1e-4 of its own size anywhere, where the curve bends no faster than the noise
is wide.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from toy_data.point_set import TAIL, Bounds

Curve = Callable[[Tensor], Tensor]

_NODES = 12
_ELEMENTS = 2**21  # of the largest temporary, 16 MB


def log_density(
    x: Tensor, curve: Curve, *, noise: float, weight: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return the log density, shape (n,), of points on the curve plus Gaussian noise.

    The curve maps t in [0, 1], shape (m,), to points, shape (m, 2); t has the density
    `weight`, uniform if it is None.
    """
    nodes, log_weights = _quadrature(curve, noise)
    nodes, log_weights = nodes.to(x.device), log_weights.to(x.device)
    if weight is not None:
        log_weights = log_weights + weight(nodes).log()
    centers = curve(nodes)
    rows = max(1, _ELEMENTS // len(nodes))
    blocks = []
    for block in x.split(rows):
        # The difference is squared as it is: expanding the square would cancel digits.
        squared = (block[:, None, 0] - centers[:, 0]).square()
        squared = squared + (block[:, None, 1] - centers[:, 1]).square()
        blocks.append(torch.logsumexp(log_weights - squared / (2 * noise**2), dim=1))
    return torch.cat(blocks) - math.log(2 * math.pi * noise**2)


def bounds(curve: Curve, noise: float) -> Bounds:
    """Return a box that holds all but 1e-4 of the mass of the blurred curve."""
    line = curve(torch.linspace(0, 1, 2**12 + 1, dtype=torch.float64))
    (left, low), (right, high) = line.amin(0).tolist(), line.amax(0).tolist()
    margin = TAIL * noise
    return (left - margin, right + margin), (low - margin, high + margin)


def _quadrature(curve: Curve, noise: float) -> tuple[Tensor, Tensor]:
    """Return the nodes in [0, 1] and the logs of their quadrature weights."""
    t = torch.linspace(0, 1, 2**12 + 1, dtype=torch.float64)
    lengths = torch.cat([t[:1], curve(t).diff(dim=0).norm(dim=1).cumsum(0)])
    pieces = math.ceil(float(lengths[-1]) / (2 * noise))
    # Equal lengths on the curve, as values of t.
    marks = np.linspace(0, float(lengths[-1]), pieces + 1)
    edges = torch.from_numpy(np.interp(marks, lengths.numpy(), t.numpy()))
    places, shares = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(_NODES))
    half = edges.diff()[:, None] / 2
    nodes = edges[:-1, None] + half * (places + 1)
    return nodes.flatten(), (half * shares).log().flatten()
