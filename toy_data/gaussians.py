"""Mixtures of Gaussians in the plane: what the sets made of blobs share."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toy_data.point_set import TAIL, Bounds, normal

Point = tuple[float, float]


def draw(
    labels: Tensor,
    centers: Sequence[Point],
    factors: Sequence[tuple[Point, Point]],
    generator: torch.Generator | None,
) -> Tensor:
    """Return center + factor @ noise for each label; factor factor^T is the covariance."""
    at = torch.tensor(centers, dtype=torch.float64, device=labels.device)[labels]
    factor = torch.tensor(factors, dtype=torch.float64, device=labels.device)[labels]
    return at + (factor @ normal(len(labels), generator)[:, :, None]).squeeze(-1)


def log_density(
    x: Tensor,
    centers: Sequence[Point],
    factors: Sequence[tuple[Point, Point]],
    weights: Sequence[float],
) -> Tensor:
    """Return log sum_k w_k N(x; c_k, F_k F_k^T), shape (n,), for lower triangular F_k."""
    at, factor, share = (
        torch.tensor(a, dtype=x.dtype, device=x.device) for a in (centers, factors, weights)
    )
    first = (x[:, None, 0] - at[:, 0]) / factor[:, 0, 0]
    second = (x[:, None, 1] - at[:, 1] - factor[:, 1, 0] * first) / factor[:, 1, 1]
    log_scale = torch.log(2 * math.pi * factor[:, 0, 0] * factor[:, 1, 1])
    logs = share.log() - log_scale - (first.square() + second.square()) / 2
    return torch.logsumexp(logs, dim=1)


def bounds(centers: Sequence[Point], factors: Sequence[tuple[Point, Point]]) -> Bounds:
    """Return a box that holds all but 1e-4 of the mass."""
    sides: list[tuple[float, float]] = []
    for axis in (0, 1):
        reach = [TAIL * math.hypot(*factor[axis]) for factor in factors]
        low = min(center[axis] - r for center, r in zip(centers, reach, strict=True))
        high = max(center[axis] + r for center, r in zip(centers, reach, strict=True))
        sides.append((low, high))
    return sides[0], sides[1]


def round_factors(noise: float, count: int) -> list[tuple[Point, Point]]:
    """Return `count` factors of the covariance noise^2 I."""
    return [((noise, 0.0), (0.0, noise))] * count
