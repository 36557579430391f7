"""Encoders with their decoders, and the error of what they rebuild."""

import math

from torch import Tensor, nn

from ebm.networks import MLP
from ebm.shapes import Configurations, Energies


def reconstruction(x: Tensor, rebuilt: Tensor) -> Energies:
    """Return |x - rebuilt|^2, summed over all but the batch.

    Raises:
        ValueError: The shapes differ; broadcasting would hide it.
    """
    if rebuilt.shape != x.shape:
        raise ValueError(
            f"decoder must return the shape of x, {tuple(x.shape)}, got "
            f"{tuple(rebuilt.shape)}. End it with nn.Unflatten(1, x.shape[1:])."
        )
    return (x - rebuilt).flatten(1).square().sum(-1)


def codec_for(
    data: Configurations, code: int | None = None, *, width: int = 128
) -> tuple[nn.Module, nn.Module]:
    """Return a small encoder and decoder for points or images.

    Args:
        data: A few examples.
        code: Width of the code; half the dimensions, at most 16, if None.
        width: Width of the hidden layers.
    """
    shape = data.shape[1:]
    features = math.prod(shape)
    code = max(1, min(16, features // 2)) if code is None else code
    encoder = nn.Sequential(nn.Flatten(), MLP([features, width, width, code]))
    decoder = nn.Sequential(MLP([code, width, width, features]), nn.Unflatten(1, shape))
    return encoder, decoder
