"""InfoNCE and NT-Xent of few pairs: all products in one matrix, value and gradient in one go.

    contrast: E_i = -l_ii + log sum_j exp(l_ij),    l_ij = largest * s(x_i, y_j), s the cosine
    gram:     the same of z = [x; y] with itself, with no l_kk, and partners for l_ii

Where a matrix is small, calls cost more than arithmetic, and these are half as many.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebm.shapes import Embeddings, Energies
from ebm.terms.precision import in_full
from ebm.terms.second_derivatives import through
from ebm.terms.unit import back, brought, unit_plain


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


def gram(x: Embeddings, y: Embeddings, largest: float) -> Energies:
    """Return the loss of each pair among all views, averaged over its two views."""
    return _Gram.apply(x, y, largest)  # pyright: ignore[reportReturnType]


def gram_plain(x: Embeddings, y: Embeddings, largest: float) -> Energies:
    """Return `gram` by the plain formula."""
    z = unit_plain(torch.cat([x, y]))
    logits = (z * largest) @ z.mT
    partners = torch.arange(len(z), device=z.device).roll(len(x))
    losses = functional.cross_entropy(logits.fill_diagonal_(-math.inf), partners, reduction="none")
    return losses.view(2, -1).mean(0)


class _Contrast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, largest: float, ways: int) -> Tensor:
        z, scale = brought(torch.cat([x, y]), 1.0)
        a, b = z.chunk(2)
        logits = _product(a, b.mT, largest)
        shares = [logits.log_softmax(dim) for dim in (1, 0)[:ways]]
        ctx.save_for_backward(x, y, z, scale, *shares)
        ctx.largest = largest
        own = [share.diagonal() for share in shares]
        return own[0].neg() if ways == 1 else own[0].add(own[1]).div_(-2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, z, scale, *shares = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = through(
                lambda x, y: contrast_plain(x, y, ctx.largest, both=len(shares) == 2),
                (x, y), ctx.needs_input_grad[:2], gradient,
            )  # fmt: skip
            return *plain, None, None
        with in_full(x):
            gradient = gradient * ctx.largest
            weights = shares[0].exp().mul_(gradient.unsqueeze(1))
            if len(shares) == 2:
                weights.addcmul_(shares[1].exp(), gradient).div_(2)
            weights.diagonal().sub_(gradient)
            (a, b), to_z = z.chunk(2), torch.empty_like(z)
            to_a, to_b = to_z.chunk(2)
            torch.mm(weights, b, out=to_a)
            torch.mm(weights.mT, a, out=to_b)
            to_x, to_y = back(to_z, z, scale, 1.0).chunk(2)
        return to_x, to_y, None, None


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, largest: float) -> Tensor:
        z, scale = brought(torch.cat([x, y]), 1.0)
        shares = _product(z, z.mT, largest).fill_diagonal_(-math.inf).log_softmax(1)
        ctx.save_for_backward(x, y, z, scale, shares)
        ctx.largest = largest
        return shares.diagonal(len(x)).add(shares.diagonal(-len(x))).div_(-2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, z, scale, shares = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = through(
                lambda x, y: gram_plain(x, y, ctx.largest),
                (x, y), ctx.needs_input_grad[:2], gradient,
            )  # fmt: skip
            return *plain, None
        with in_full(x):
            half = gradient * (ctx.largest / 2)
            weights = shares.exp().mul_(half.repeat(2).unsqueeze(1))
            weights.diagonal(len(x)).sub_(half)
            weights.diagonal(-len(x)).sub_(half)
            to_x, to_y = back((weights + weights.mT).mm(z), z, scale, 1.0).chunk(2)
        return to_x, to_y, None


def _product(a: Tensor, b: Tensor, factor: float) -> Tensor:
    """Return factor * a @ b."""
    return torch.addmm(a.new_empty(()), a, b, beta=0, alpha=factor)
