"""Energies of positive pairs against those of negative ones: the gap that training opens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape.energy_histograms import EnergyHistograms
from ebm.landscape.pair_matrix import pair_matrix


@dataclass(frozen=True)
class PairHistograms:
    """Energies of pairs."""

    positive: NDArray[np.floating]
    """E(x_i, y_i), (n,)."""
    negative: NDArray[np.floating]
    """E(x_i, y_j), i and j different, (n (n - 1),)."""
    size = EnergyHistograms.size

    @property
    def auroc(self) -> float:
        """The chance that a negative pair has more energy than a positive one."""
        return self._histograms.auroc["negative"]

    @property
    def _histograms(self) -> EnergyHistograms:
        energies = {"positive": self.positive, "negative": self.negative}
        masked = sum(int((~np.isfinite(e)).sum()) for e in energies.values())
        return EnergyHistograms({k: e[np.isfinite(e)] for k, e in energies.items()}, masked)

    def draw_on(self, ax: Any) -> None:
        """Draw both histograms."""
        self._histograms.draw_on(ax)


def pair_histograms(
    energy: Energy | Callable[..., Tensor], x: Any, y: Any, *, batch_size: int = 16_384
) -> PairHistograms:
    """Return the energies of the pairs that belong together, and of all others.

    Args:
        energy: A pair energy, (x, y) -> (batch,).
        x: Examples or embeddings, (n, *shape).
        y: Their other views, (n, *shape), in the same order.
        batch_size: Pairs evaluated at once.

    Raises:
        ValueError: As for `pair_matrix`.
    """
    values = pair_matrix(energy, x, y, batch_size=batch_size).values
    return PairHistograms(np.diagonal(values).copy(), values[~np.eye(len(values), dtype=bool)])
