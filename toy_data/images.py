"""Pictures and their classes."""

from typing import NamedTuple

from torch import Tensor


class Images(NamedTuple):
    """Pictures and their classes, in one order."""

    images: Tensor
    """Pictures, float32 in [0, 1], shape (n, channels, height, width)."""
    labels: Tensor
    """Classes counted from 0, int64, shape (n,)."""
