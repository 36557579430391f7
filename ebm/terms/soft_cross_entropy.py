"""Cross-entropy with soft targets, as a teacher or a code gives them.

H = -sum_k t_k log p_k = sum_k t_k log(sum_j exp(z_j)) - sum_k t_k z_k,    z = x / temperature

A softmax and its largest entry give the logarithm, so that no second pass takes exponentials.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebm.shapes import Embeddings, Energies
from ebm.terms.precision import full_precision, in_full
from ebm.terms.second_derivatives import through


@full_precision
def soft_cross_entropy(x: Embeddings, targets: Tensor, temperature: float) -> Energies:
    """Return the cross-entropy of the softmax of x / temperature under the targets.

    Targets need not sum to 1: those of several teachers may be summed first. The gradient is
    written out; a gradient of the targets goes through the plain formula.
    """
    if targets.requires_grad:
        return soft_cross_entropy_plain(x, targets, temperature)
    return _SoftCrossEntropy.apply(x, targets, temperature)  # pyright: ignore[reportReturnType]


def soft_cross_entropy_plain(x: Embeddings, targets: Tensor, temperature: float) -> Energies:
    """Return `soft_cross_entropy` by the plain formula."""
    return -(targets * functional.log_softmax(x / temperature, dim=-1)).sum(-1)


def over_pairs(views: Sequence[Tensor], targets: Sequence[Tensor], temperature: float) -> Energies:
    """Return the sum over all pairs of a view and the targets of another view.

    The targets belong to the first views, in order. Those that meet a view are summed first:
    one product for each view.
    """
    everyone = functools.reduce(torch.add, targets)
    value = everyone.new_zeros(len(everyone))
    for s, view in enumerate(views):
        others = [*targets[:s], *targets[s + 1 :]]
        if others:
            met = everyone if s >= len(targets) else functools.reduce(torch.add, others)
            value = value + soft_cross_entropy(view, met, temperature)
    return value


class _SoftCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, targets: Tensor, temperature: float) -> Tensor:
        z, whole = x / temperature, targets.sum(-1)
        shares = z.softmax(-1)
        ctx.save_for_backward(x, targets, shares, whole)
        ctx.temperature = temperature
        # The largest share is exp(the largest z) over the sum of all exponentials.
        largest = z.amax(-1) - shares.amax(-1).log_()
        return whole * largest - z.mul_(targets).sum(-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, targets, shares, whole = ctx.saved_tensors
        if torch.is_grad_enabled():
            (to_x,) = through(
                lambda x: soft_cross_entropy_plain(x, targets, ctx.temperature),
                (x,), (True,), gradient,
            )  # fmt: skip
            return to_x, None, None
        with in_full(x):
            scale = gradient / ctx.temperature
            to_x = shares * (scale * whole).unsqueeze(-1)
            return to_x.addcmul_(targets, scale.unsqueeze(-1), value=-1), None, None
