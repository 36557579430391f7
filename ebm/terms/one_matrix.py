"""InfoNCE of few pairs: all products in one matrix, value and gradient in one go.

    E_i = -l_ii + log sum_j exp(l_ij),    l_ij = largest * s(x_i, y_j), s the cosine

Where a matrix is small, calls cost more than arithmetic, and these are half as many.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebm.shapes import Embeddings, Energies
from ebm.terms.second_derivatives import through
from ebm.terms.unit import SMALLEST, unit_plain


def contrast(x: Embeddings, y: Embeddings, largest: float, *, both: bool = False) -> Energies:
    """Return the loss of each pair; the average of both directions if `both`."""
    return _Contrast.apply(x, y, largest, 1 + both)  # pyright: ignore[reportReturnType]


def contrast_plain(x: Embeddings, y: Embeddings, largest: float, *, both: bool = False) -> Energies:
    """Return `contrast` by the plain formula."""
    logits = unit_plain(x, largest) @ unit_plain(y).mT
    own = torch.arange(len(x), device=x.device)
    of_x = functional.cross_entropy(logits, own, reduction="none")
    if not both:
        return of_x
    return (of_x + functional.cross_entropy(logits.mT, own, reduction="none")) / 2


class _Contrast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, largest: float, ways: int) -> Tensor:
        (a, of_x), (b, of_y) = _brought(x, largest), _brought(y, 1.0)
        logits = a @ b.mT
        shares = [logits.log_softmax(dim) for dim in (1, 0)[:ways]]
        ctx.save_for_backward(x, y, a, b, of_x, of_y, *shares)
        ctx.largest = largest
        own = [share.diagonal() for share in shares]
        return own[0].neg() if ways == 1 else own[0].add(own[1]).div_(-2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, a, b, of_x, of_y, *shares = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = through(
                lambda x, y: contrast_plain(x, y, ctx.largest, both=len(shares) == 2),
                (x, y), ctx.needs_input_grad[:2], gradient,
            )  # fmt: skip
            return *plain, None, None
        with torch.autocast(x.device.type, enabled=False):
            weights = shares[0].exp().mul_(gradient[:, None])
            if len(shares) == 2:
                weights.addcmul_(shares[1].exp(), gradient).div_(2)
            weights.diagonal().sub_(gradient)
            to_x = to_y = None
            if ctx.needs_input_grad[0]:
                to_x = _back(weights @ b, a, of_x, ctx.largest)
            if ctx.needs_input_grad[1]:
                to_y = _back(weights.mT @ a, b, of_y, 1.0)
        return to_x, to_y, None, None


def _brought(x: Tensor, length: float) -> tuple[Tensor, Tensor]:
    """Return the rows brought to a length, and what they were multiplied by."""
    scale = length / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=SMALLEST)
    return x * scale, scale


def _back(gradient: Tensor, z: Tensor, scale: Tensor, length: float) -> Tensor:
    """Return the gradient before the rows were brought to a length."""
    along = torch.linalg.vecdot(z, gradient)[:, None].div_(length**2)
    along.masked_fill_(scale >= length / SMALLEST, 0)
    return torch.addcmul(gradient, z, along, value=-1).mul_(scale)
