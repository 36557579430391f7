"""What the explorer shows of energies of images: the plane's pictures, and chains."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.landscape import thumbnails
from ebm.landscape.explorer import encode
from ebm.landscape.plane import Plane

RECORDS = 80
"""Records of each chain that are kept, at most."""

CHAINS = 6
"""Chains that are kept, at most."""


@dataclass(frozen=True)
class Recorded:
    """A few chains at evenly spaced records."""

    steps: NDArray[np.int64]
    """The records, (k,)."""
    positions: NDArray[np.float64]
    """(k, chains, *shape)."""
    energies: NDArray[np.float64]
    """(k, chains), NaN where they are not finite."""
    sampler: str
    """What moved them."""

    def of_page(self) -> dict[str, Any]:
        """Return the chains as the page needs them: pictures in bytes."""
        low, high = span_of(self.positions)
        shares = (np.nan_to_num(self.positions) - low) / (high - low)
        rows, columns, channels = layout(self.positions.shape[2:])
        return {
            "steps": self.steps.tolist(),
            "chains": self.positions.shape[1],
            "picture": [rows, columns, channels],
            "pictures": encode.octets((255 * shares.clip(0, 1)).round()),
            "energies": encode.floats(self.energies),
            "sampler": self.sampler,
        }


def recorded(chain: Any, like: Tensor, sampler: str = "pictures") -> Recorded:
    """Return some records of what `ebm.samplers.chain` recorded.

    Raises:
        ValueError: The chains are of examples of another shape.
    """
    positions, energies = chain.positions, chain.energies
    checks.same_shape(positions[0, 0], like[0])
    at = np.unique(np.linspace(0, len(positions) - 1, min(RECORDS, len(positions))).round())
    index = torch.as_tensor(at.astype(int), device=positions.device)
    x, e = (
        values[index][:, :CHAINS].detach().cpu().double().numpy()
        for values in (positions, energies)
    )
    return Recorded(at.astype(np.int64), x, np.where(np.isfinite(e), e, np.nan), sampler)


def plane_of_page(plane: Plane) -> dict[str, Any]:
    """Return the plane as the page needs it: a picture and two directions."""
    low, high = span_of(plane.corners)
    return {
        "picture": layout(plane.corners.shape[1:]),
        "origin": encode.floats(plane.corners[0].ravel()),
        "across": encode.floats(plane.basis[0].ravel()),
        "up": encode.floats(plane.basis[1].ravel()),
        "low": low,
        "high": high,
        "corners": plane.positions.tolist(),
    }


def layout(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the rows, columns and channels by which an example is drawn.

    What is no picture is drawn as a square, or as a row of its numbers.
    """
    picture = thumbnails.picture(np.zeros(shape))
    if picture is not None:
        rows, columns, channels = (*picture.shape, 1)[:3]
        return rows, columns, channels
    size = math.prod(shape)
    side = math.isqrt(size)
    return (side, side, 1) if side * side == size else (1, size, 1)


def span_of(examples: NDArray[np.float64]) -> tuple[float, float]:
    """Return the numbers that are drawn black and white."""
    finite = examples[np.isfinite(examples)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0
