"""Chains as strips of pictures: a row for each chain, its energy under each picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, mosaic


@dataclass(frozen=True)
class ChainStrip:
    """What chains looked like at a few steps."""

    steps: NDArray[np.int64]
    """The records that are shown, (k,)."""
    positions: NDArray[np.float64]
    """(chains, k, *shape)."""
    energies: NDArray[np.float64]
    """(chains, k)."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for every picture."""
        return mosaic.size(*self.energies.shape)

    def draw_on(self, ax: Any) -> None:
        """Draw a row for each chain, from left to right."""
        words = [[f"{e:.3g}" for e in row] for row in self.energies]
        mosaic.draw(ax, self.positions, words)
        first, last = self.energies[:, 0].mean(), self.energies[:, -1].mean()
        canvas.caption(
            ax,
            f"rows: chains, columns: records {self.steps[0]} to {self.steps[-1]}; below: E, "
            f"on average from {first:.3g} to {last:.3g}",
        )


def chain_strip(chain: Any, chains: int = 6, columns: int = 10) -> ChainStrip:
    """Return a few chains at evenly spaced records.

    Args:
        chain: What `ebm.samplers.chain` recorded.
        chains: Rows, at most.
        columns: Records shown of each, at most.

    Raises:
        ValueError: A count is below one.
    """
    checks.count("chains", chains)
    checks.count("columns", columns)
    recorded = len(chain.positions)
    steps = np.unique(np.linspace(0, recorded - 1, min(columns, recorded)).round().astype(int))
    at = torch.as_tensor(steps, device=chain.positions.device)
    positions, energies = (
        values[at, :chains].transpose(0, 1).detach().cpu().double().numpy()
        for values in (chain.positions, chain.energies)
    )
    return ChainStrip(steps, positions, energies)
