"""The atoms of a decoder or the filters of a layer, as pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, mosaic, palette
from ebm.landscape.bounds import as_examples


@dataclass(frozen=True)
class Dictionary:
    """Atoms in the order of how often they are used, or of their norm."""

    atoms: NDArray[np.float64]
    """(n, *shape)."""
    use: NDArray[np.float64]
    """How often each is used, 0 to 1; its norm where no codes are given, (n,)."""
    columns: int
    """Pictures in a row."""
    used: bool
    """Whether `use` counts codes."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for every picture."""
        return mosaic.size(-(-len(self.atoms) // self.columns), self.columns, 0.55)

    def draw_on(self, ax: Any) -> None:
        """Draw the atoms, each on its own scale around zero."""
        flat = self.atoms.reshape(len(self.atoms), -1)
        most = np.abs(flat).max(1).reshape(-1, *[1] * (self.atoms.ndim - 1))
        rows = mosaic.as_rows(self.atoms / np.maximum(most, 1e-30), self.columns)
        mosaic.draw(ax, rows, limits=(-1, 1), cmap=palette.signed())
        order = "the most used first" if self.used else "the longest first"
        dead = int((self.use == 0).sum())
        words = f"{len(self.atoms)} atoms, {order}, blue below zero; {dead} never used"
        canvas.caption(ax, words if self.used else words.split(";")[0])


def dictionary(atoms: Any, codes: Any = None, columns: int = 12) -> Dictionary:
    """Return atoms as pictures, sorted.

    Args:
        atoms: (n, *shape); a decoder's weight is `decoder.weight.T.reshape(-1, 8, 8)`.
        codes: Codes of some data, (m, n), that tell how often each atom is used.
        columns: Pictures in a row.

    Raises:
        ValueError: The codes do not have one number for each atom.
    """
    x = as_examples(atoms, "atoms").cpu().double()
    checks.count("columns", columns)
    if codes is None:
        use = x.flatten(1).norm(dim=1)
    else:
        z = torch.as_tensor(codes).detach().cpu()
        if z.ndim != 2 or z.shape[1] != len(x):
            raise ValueError(
                f"codes must have shape (m, {len(x)}), one column for each atom, got "
                f"{tuple(z.shape)}. Pass the atoms as rows: decoder.weight.T."
            )
        use = (z != 0).double().mean(0)
    order = use.argsort(descending=True, stable=True)
    columns = min(columns, len(x))
    return Dictionary(x[order].numpy(), use[order].numpy(), columns, codes is not None)
