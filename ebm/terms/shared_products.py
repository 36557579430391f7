"""Products of columns over the rows of all processes, each of which multiplies its own."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ebm import distributed
from ebm.shapes import Scalar
from ebm.terms.precision import in_full


def products_are_fewer(x: Tensor) -> bool:
    """Return whether processes exchange less by summing D x D products than by gathering rows.

    Then the multiplications are divided among them, too.
    """
    return distributed.world() > 1 and len(x) * distributed.world() >= x.shape[1]


def shared_products(x: Tensor, y: Tensor) -> Scalar:
    """Return |x^T y|_F^2, the squared products of all pairs of columns, over all rows."""
    return _SharedProducts.apply(x, y)  # pyright: ignore[reportReturnType]


class _SharedProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        products = distributed.total(x.mT @ y)
        ctx.save_for_backward(x, y, products)
        return products.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, y, products = ctx.saved_tensors
        gradient = distributed.total(gradient)  # one number, where the products would be D^2
        with in_full(x):
            return 2 * gradient * (y @ products.mT), 2 * gradient * (x @ products)
