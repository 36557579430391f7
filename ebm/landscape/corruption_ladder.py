"""The energy of examples that are damaged more and more: it should climb from step to step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import canvas, mosaic, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import probe

QUANTILES = (0.1, 0.5, 0.9)
Corruption = Callable[[Tensor, float], Tensor]
"""(examples, level) -> damaged examples."""


@dataclass(frozen=True)
class CorruptionLadder:
    """Energies by corruption and level; level 0 of the list comes first."""

    levels: dict[str, NDArray[np.float64]]
    """The levels of each corruption, (k,)."""
    energies: dict[str, NDArray[np.floating]]
    """The energies at each level, (k, n), NaN where they are not finite."""
    examples: dict[str, NDArray[np.float64]]
    """The first example at each level, (k, *shape)."""
    masked: int
    """How many energies are not finite."""

    @property
    def means(self) -> dict[str, NDArray[np.floating]]:
        """The mean energy at each level, (k,)."""
        return {name: np.nanmean(values, axis=1) for name, values in self.energies.items()}

    @property
    def size(self) -> tuple[float, float]:
        """Room for a panel each."""
        return 3.2 * len(self.levels) + 0.4, 4.2

    def draw_on(self, ax: Any) -> None:
        """Draw the median with its band over the levels, and one example above them."""
        names = list(self.levels)
        axes = canvas.panels(ax, names + [""] * len(names), columns=len(names))
        pictures, curves = axes[: len(names)], axes[len(names) :]
        for k, name in enumerate(names):
            shown = self.examples[name][None]
            limits = float(shown[0, 0].min()), float(shown[0, 0].max())  # those of the first
            mosaic.draw(pictures[k], shown, limits=limits)
            low, middle, high = np.nanquantile(self.energies[name], QUANTILES, axis=1)
            levels = self.levels[name]
            curves[k].fill_between(levels, low, high, color=palette.color(k), alpha=0.18, lw=0)
            curves[k].plot(levels, middle, ".-", color=palette.color(k), linewidth=1.6)
            canvas.ruled(curves[k], "E" if k == 0 else "")
            if k:
                curves[k].sharey(curves[0])
        canvas.caption(curves[0], "median over the examples, with the middle four fifths")


def corruption_ladder(
    energy: Energy | Callable[..., Tensor],
    x: Any,
    corruptions: Mapping[str, tuple[Corruption, Sequence[float]]],
    *,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> CorruptionLadder:
    """Return the energies of examples under corruptions of rising level.

    Args:
        energy: Any callable of a batch of examples, (batch, *shape) -> (batch,).
        x: Examples, (n, *shape).
        corruptions: By name, what damages examples and the levels it is called with:
            `{"noise": (lambda x, s: x + s * noise, (0, 0.1, 0.3, 1))}`.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: There is no corruption, or one changes the shape of the examples.
    """
    x = as_examples(x, "x")
    checks.count("batch_size", batch_size)
    if not corruptions:
        raise ValueError(
            "corruptions must hold at least one, got none. Pass {'noise': (f, (0, 1))}."
        )
    ready = probe(energy, given, like=x)
    levels, energies, examples = {}, {}, {}
    for name, (corrupt, steps) in corruptions.items():
        damaged = [as_examples(corrupt(x, level), name) for level in steps]
        checks.same_shape(x, *damaged)
        levels[name] = np.asarray(steps, np.float64)
        energies[name] = np.stack([ready.at(each, batch_size) for each in damaged])
        examples[name] = torch.stack([each[0] for each in damaged]).cpu().double().numpy()
    masked = sum(int(np.isnan(e).sum()) for e in energies.values())
    return CorruptionLadder(levels, energies, examples, masked)
