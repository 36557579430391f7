"""Energies of several sets, and how well the energy tells each from the first.

    AUROC = P(E(other) > E(first)) + P(E(other) = E(first)) / 2

1 where every other example has more energy than the first set's, 1/2 where they cannot be
told apart. A model that only learned simple images gives *less* energy to simpler ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import probe

BINS = 60


@dataclass(frozen=True)
class EnergyHistograms:
    """Energies by the name of their set; the first is what the others are told from."""

    energies: dict[str, NDArray[np.floating]]
    """Energies of each set, those that are not finite left out."""
    masked: int
    """How many energies are not finite."""
    size = (6.2, 3.8)

    @property
    def auroc(self) -> dict[str, float]:
        """How well the energy tells each set from the first, 1/2 where it cannot."""
        first, *others = self.energies
        return {name: _auroc(self.energies[first], self.energies[name]) for name in others}

    def draw_on(self, ax: Any) -> None:
        """Draw the share of each set over energy, ending where one in a hundred is left."""
        ends = [np.quantile(e, [0.005, 0.99]) for e in self.energies.values() if e.size]
        low, high = (min(e[0] for e in ends), max(e[1] for e in ends)) if ends else (0.0, 1.0)
        edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
        scores = self.auroc
        for k, (name, energies) in enumerate(self.energies.items()):
            share = np.histogram(energies, edges)[0] / max(energies.size, 1)
            label = f"{name}  AUROC {scores[name]:.2f}" if name in scores else name
            color = palette.DATA if k == 0 else palette.color(k - 1 if k < 2 else k)
            ax.stairs(share, edges, color=color, linewidth=1.6, label=label)
            ax.stairs(share, edges, color=color, alpha=0.15, fill=True)
        canvas.ruled(ax)
        canvas.legend(ax, 3)
        words = "share of each set over its energy"
        canvas.caption(ax, f"{words}; {self.masked:,} not finite" if self.masked else words)


def energy_histograms(
    energy: Energy | Callable[..., Tensor],
    sets: Mapping[str, Any],
    *,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> EnergyHistograms:
    """Return the energies of several sets, such as `{"data": x, "noise": torch.rand_like(x)}`.

    Args:
        energy: Any callable of a batch of examples, (batch, *shape) -> (batch,).
        sets: Examples by name, (n, *shape); the first is what the others are told from.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: There is no set, or the energy does not return one number per example.
    """
    checks.count("batch_size", batch_size)
    if not sets:
        raise ValueError("sets must hold at least one, got none. Pass {'data': x}.")
    examples = {name: as_examples(x, name) for name, x in sets.items()}
    ready = probe(energy, given, like=next(iter(examples.values())))
    found = {name: ready.at(x, batch_size) for name, x in examples.items()}
    masked = sum(int(np.isnan(e).sum()) for e in found.values())
    return EnergyHistograms({name: e[np.isfinite(e)] for name, e in found.items()}, masked)


def _auroc(first: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    from ebm.evaluation.ood import ranked_above

    if not len(first) or not len(other):
        return float("nan")
    return ranked_above(torch.as_tensor(other).double(), torch.as_tensor(first).double())
