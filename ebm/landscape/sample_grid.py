"""Pictures in rows and columns, in the order of their energy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, mosaic
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import probe


@dataclass(frozen=True)
class SampleGrid:
    """Examples, by rising energy where there is one."""

    examples: NDArray[np.float64]
    """(n, *shape)."""
    energies: NDArray[np.floating] | None
    """(n,), or None without an energy."""
    columns: int
    """Pictures in a row."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for every picture."""
        return mosaic.size(-(-len(self.examples) // self.columns), self.columns)

    def draw_on(self, ax: Any) -> None:
        """Draw the pictures, with their energies below."""
        words = None
        if self.energies is not None:
            shown = [f"{e:.3g}" for e in self.energies]
            shown += [""] * (-len(shown) % self.columns)
            words = [shown[i : i + self.columns] for i in range(0, len(shown), self.columns)]
        mosaic.draw(ax, mosaic.as_rows(self.examples, self.columns), words)
        if self.energies is not None:
            canvas.caption(ax, "below: E, the lowest first")


def sample_grid(
    examples: Any,
    energy: Energy | Callable[..., Tensor] | None = None,
    columns: int = 10,
    *,
    most: int = 100,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> SampleGrid:
    """Return examples to be seen together, sorted by their energy if there is one.

    Args:
        examples: (n, *shape).
        energy: Any callable of a batch of examples, or None.
        columns: Pictures in a row.
        most: Examples kept, evenly taken from all.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: The energy does not return one number per example.
    """
    x = as_examples(examples, "examples")
    checks.count("columns", columns)
    x = x[:: -(-len(x) // checks.count("most", most))]
    energies = None
    if energy is not None:
        energies = probe(energy, given, like=x).at(x, batch_size)
        order = np.argsort(energies, kind="stable")
        energies, x = energies[order], x[order.tolist()]
    return SampleGrid(x.cpu().double().numpy(), energies, min(columns, len(x)))
