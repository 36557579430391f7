"""Which pixels an energy listens to: the gradient dE/dx of each example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, mosaic, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import probe


@dataclass(frozen=True)
class Saliency:
    """Examples and the gradients of their energies."""

    examples: NDArray[np.float64]
    """(n, *shape)."""
    gradients: NDArray[np.floating]
    """dE/dx, (n, *shape), NaN where not finite: the energy grows where it is positive."""
    energies: NDArray[np.floating]
    """(n,)."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for every picture, twice."""
        wide, _ = mosaic.size(1, len(self.examples))
        return wide, 2.7

    def draw_on(self, ax: Any) -> None:
        """Draw each example above its gradient, orange where more would cost energy."""
        above, below = canvas.panels(ax, ["x", "dE/dx"], columns=1)
        mosaic.draw(above, self.examples[None])
        shown = self.gradients
        if shown.ndim == 4 and shown.shape[1] == 3:  # colors: one number a pixel
            shown = shown.sum(1)
        high = float(np.nanquantile(np.abs(shown), 0.995)) or 1.0
        words = [[f"E {e:.3g}" for e in self.energies]]
        mosaic.draw(below, shown[None], words, limits=(-high, high), cmap=palette.signed())
        canvas.caption(below, f"orange: brighter costs energy, blue: darker; up to {high:.2g}")


def saliency(
    energy: Energy | Callable[..., Tensor],
    x: Any,
    *,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> Saliency:
    """Return the gradient of the energy in each example.

    Args:
        energy: Any callable of a batch of examples, differentiable in x.
        x: A few examples, (n, *shape).
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: The energy has no gradient in x, or is not one number per example.
    """
    x = as_examples(x, "x")
    checks.count("batch_size", batch_size)
    ready = probe(energy, given, like=x)
    where = ready.like(x)
    gradients = -ready.scores(lambda index: where[index], len(x), batch_size)
    return Saliency(x.cpu().double().numpy(), gradients, ready.at(x, batch_size))
