"""Bars and stripes: small binary pictures that can be enumerated."""

import itertools

import torch
from torch import Tensor

from toy_data import checks

_LARGEST = 16


def bars_and_stripes(size: int = 4) -> Tensor:
    """Return all pictures of full rows, or of full columns: (2^(size + 1) - 2, size^2).

    Each row is one square picture, flattened, float32 of zeros and ones. The empty and the
    full picture are both bars and stripes and appear once, so a uniform distribution over
    the rows gives every picture the same probability.

    >>> import toy_data
    >>> toy_data.bars_and_stripes(4).shape
    torch.Size([30, 16])

    Reference: D. MacKay, "Information Theory, Inference, and Learning Algorithms",
    Cambridge University Press, 2003, section 43.
    Differs: MacKay gives the empty and the full picture twice the probability of the others.

    Raises:
        ValueError: The size is no whole number from 1 to 16.
    """
    if checks.count("size", size) > _LARGEST:
        raise ValueError(f"size must be at most {_LARGEST}, got size={size}. Take a smaller one.")
    lines = torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)))
    stripes = lines[:, :, None].expand(-1, size, size)
    bars = lines[1:-1, None, :].expand(-1, size, size)
    return torch.cat([stripes, bars]).flatten(1)[: max(2, 2 ** (size + 1) - 2)]
