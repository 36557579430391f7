"""Examples above what a model makes of them: reconstructions, denoised or inpainted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, mosaic
from ebm.landscape.bounds import as_examples


@dataclass(frozen=True)
class Reconstructions:
    """Examples, and rows of what was made of them."""

    examples: NDArray[np.float64]
    """(n, *shape)."""
    rows: dict[str, NDArray[np.float64]]
    """By name, (n, *shape) each."""

    @property
    def errors(self) -> dict[str, NDArray[np.float64]]:
        """|x - reconstruction|^2 of each example, by name, (n,)."""
        return {
            name: ((row - self.examples) ** 2).reshape(len(row), -1).sum(1)
            for name, row in self.rows.items()
        }

    @property
    def size(self) -> tuple[float, float]:
        """Room for every picture."""
        return mosaic.size(len(self.rows) + 1, len(self.examples))

    def draw_on(self, ax: Any) -> None:
        """Draw the examples in the first row, and what was made of them below."""
        words = [[""] * len(self.examples)]
        words += [[f"{e:.3g}" for e in row] for row in self.errors.values()]
        low, high = float(self.examples.min()), float(self.examples.max())
        every = np.stack([self.examples, *self.rows.values()])
        mosaic.draw(ax, every, words, limits=(low, high))
        canvas.caption(ax, f"rows: x, {', '.join(self.rows)}; below: squared distance from x")


def reconstructions(x: Any, made: Any) -> Reconstructions:
    """Return examples with what a model made of them.

    Args:
        x: A few examples, (n, *shape).
        made: As many, (n, *shape), or several by name, such as `{"noisy": a, "denoised": b}`.

    Raises:
        ValueError: The shapes differ.
    """
    x = as_examples(x, "x")
    named = made if isinstance(made, Mapping) else {"reconstruction": made}
    rows = {name: as_examples(row, name) for name, row in named.items()}
    checks.same_shape(x, *rows.values())
    arrays = {name: row.cpu().double().numpy() for name, row in rows.items()}
    return Reconstructions(x.cpu().double().numpy(), arrays)
