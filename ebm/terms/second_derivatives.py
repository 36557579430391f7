"""Second derivatives of a fast path: through the plain formula that stands beside it.

A fast path has its value and its gradient written out. Where a gradient is to be
differentiated again, autograd takes the plain formula's instead.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def through(
    plain: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
    *gradients: Tensor,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the plain formula in its inputs, differentiable again.

    Args:
        plain: The formula, of the inputs alone.
        inputs: What it is evaluated at.
        needed: Which inputs want a gradient.
        gradients: Those of its values, one for each.
    """
    with torch.enable_grad():
        # Aliases: an input that comes twice has a gradient for each place.
        aliases = [x.view_as(x) for x in inputs]
        values = plain(*aliases)
        wanted = [x for x, need in zip(aliases, needed, strict=True) if need]
        found = iter(
            torch.autograd.grad(
                [values] if isinstance(values, Tensor) else list(values),
                wanted,
                list(gradients),
                create_graph=True,
                materialize_grads=True,
            )
        )
    return tuple(next(found) if need else None for need in needed)
