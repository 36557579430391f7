"""Unit vectors: embeddings divided by their norms."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebm.shapes import Embeddings
from ebm.terms.second_derivatives import through

SMALLEST = 1e-12
"""Norm below which a row is divided by this instead, as torch's normalize does."""


def unit(x: Tensor, length: float = 1.0) -> Embeddings:
    """Return the rows brought to a length; the gradient is written out."""
    return _Unit.apply(x, length)  # pyright: ignore[reportReturnType]


def unit_plain(x: Tensor, length: float = 1.0) -> Embeddings:
    """Return `unit` by the plain formula."""
    z = functional.normalize(x, dim=-1)
    return z if length == 1 else length * z


def brought(x: Tensor, length: float) -> tuple[Tensor, Tensor]:
    """Return the rows brought to a length, and what they were divided by, (batch, 1)."""
    scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=SMALLEST)
    if length != 1:
        scale /= length
    return x / scale, scale


def back(gradient: Tensor, z: Tensor, scale: Tensor, length: float) -> Tensor:
    """Return the gradient of the rows, from that of `brought`'s z; the latter is kept as it is."""
    along = (z * gradient).sum(-1, keepdim=True).masked_fill_(scale <= SMALLEST / length, 0)
    return torch.addcmul(gradient, z, along, value=-1 / length**2).div_(scale)


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, length: float) -> Tensor:
        z, scale = brought(x, length)
        ctx.save_for_backward(x, z, scale)
        ctx.length = length
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None]:
        x, z, scale = ctx.saved_tensors
        if torch.is_grad_enabled():
            (to_x,) = through(lambda x: unit_plain(x, ctx.length), (x,), (True,), gradient)
            return to_x, None
        return back(gradient, z, scale, ctx.length), None
