"""Pairs for joint embeddings: two noisy views of one hidden point."""

import torch
from torch import Tensor

from toy_data import checks
from toy_data.point_set import PointSet, normal
from toy_data.two_moons import two_moons


def pairs(
    n: int,
    *,
    points: PointSet = two_moons,
    noise: float = 0.1,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return two views, float32 of shape (n, 2) each, of n hidden points.

    Row i of both is the same hidden point, drawn from `points`, plus its own Gaussian noise
    of standard deviation `noise`, in units of the plane.

    Raises:
        ValueError: n is no whole number of at least 1, or the noise is not positive.
    """
    checks.positive("noise", noise)
    hidden = points(n, generator=generator)
    x, y = (hidden + (noise * normal(len(hidden), generator)).float() for _ in range(2))
    return x, y
