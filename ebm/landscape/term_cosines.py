"""Do the terms of a loss pull together? The cosines of their gradients in the parameters."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ebm.landscape import canvas, palette, square


@dataclass(frozen=True)
class TermCosines:
    """Gradients of the terms, compared."""

    names: tuple[str, ...]
    """Of the terms."""
    cosines: NDArray[np.float64]
    """(terms, terms), -1 to 1; 0 with a term that has no gradient."""
    norms: NDArray[np.float64]
    """Length of each term's gradient, (terms,)."""

    def draw_on(self, ax: Any) -> None:
        """Draw the matrix: orange terms help one another, blue ones fight."""
        square.signed(ax, self.cosines, 1.0, "cos")
        words = [name.replace("_", " ") for name in self.names]
        ax.set_xticks(range(len(words)), words, rotation=30, ha="right")
        ax.set_yticks(range(len(words)), words)
        for i, row in enumerate(self.cosines):
            for j, value in enumerate(row):
                color = palette.EDGE if abs(value) > 0.6 else palette.INK
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=color)
        lengths = ", ".join(f"{w} {n:.2g}" for w, n in zip(words, self.norms, strict=True))
        canvas.caption(ax, f"cosines of gradients; their lengths: {lengths}")


def term_cosines(
    terms: Callable[[], dict[str, Tensor]], parameters: nn.Module | Iterable[Tensor]
) -> TermCosines:
    """Return the cosines between the gradients of named terms.

    Args:
        terms: Computes the terms, `lambda: method.terms(*batch)`; each is averaged.
        parameters: A module, or the tensors in which gradients are taken.

    Raises:
        ValueError: There is no term, or no parameter that can be trained.
    """
    tensors = parameters.parameters() if isinstance(parameters, nn.Module) else parameters
    wanted = [p for p in tensors if p.requires_grad]
    with torch.enable_grad():
        named = terms()
    if not wanted or not named:
        raise ValueError(
            f"parameters must hold one that can be trained, and terms one term, got {len(wanted)} "
            f"and {len(named)}. Pass the method itself: term_cosines(lambda: m.terms(x), m)."
        )
    rows = []
    for value in named.values():
        found: Any = [torch.zeros_like(p) for p in wanted]
        if value.requires_grad:
            found = torch.autograd.grad(
                value.mean(), wanted, retain_graph=True, materialize_grads=True
            )
        rows.append(torch.cat([g.detach().double().flatten().cpu() for g in found]))
    gradients = torch.stack(rows)
    norms = gradients.norm(dim=1)
    unit = gradients / norms.clamp(min=1e-30)[:, None]
    return TermCosines(tuple(named), (unit @ unit.T).clamp(-1, 1).numpy(), norms.numpy())
