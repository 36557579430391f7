"""The gap that training opens: the energy of data and of negatives, and gradients' lengths."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ebm import checks
from ebm.energy import Energy, as_energy, evaluating, modules
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import probe

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class EnergyGap:
    """Energies of two fixed sets over training."""

    steps: NDArray[np.int64]
    """Training steps, (k,)."""
    data: NDArray[np.floating]
    """Quantiles of the energies of the data: a tenth, half, nine tenths, (k, 3)."""
    negatives: NDArray[np.floating]
    """Those of the negatives, (k, 3)."""
    gradients: NDArray[np.float64]
    """|d mean E(data) - mean E(negatives) / d parameters|, (k,); NaN without parameters."""
    size = (9.0, 3.6)

    @property
    def gap(self) -> NDArray[np.floating]:
        """How far the median of the negatives lies above that of the data, (k,)."""
        return self.negatives[:, 1] - self.data[:, 1]

    def draw_on(self, ax: Any) -> None:
        """Draw the two medians with their bands, and the gradient's length."""
        left, right = canvas.panels(ax, ["", "length of the gap's gradient"])
        for name, values, color in (
            ("data", self.data, palette.DATA),
            ("negatives", self.negatives, palette.SAMPLES_EDGE),
        ):
            left.fill_between(self.steps, values[:, 0], values[:, 2], color=color, alpha=0.16, lw=0)
            left.plot(self.steps, values[:, 1], ".-", color=color, linewidth=1.6, label=name)
        canvas.ruled(left)
        canvas.legend(left)
        canvas.caption(left, f"E over steps; the gap of the medians ends at {self.gap[-1]:.3g}")
        right.plot(self.steps, self.gradients, ".-", color=palette.LINES[0], linewidth=1.5)
        there = self.gradients[np.isfinite(self.gradients) & (self.gradients > 0)]
        if there.size and there.max() > 30 * there.min():
            right.set_yscale("log")
        canvas.ruled(right)
        canvas.caption(right, "step")


def energy_gap(
    energies: Iterable[Energy | Callable[..., Tensor]],
    data: Any,
    negatives: Any,
    steps: Sequence[int] | None = None,
    *,
    batch_size: int = 4_096,
) -> EnergyGap:
    """Return the energies of data and of negatives at several times of training.

    The energies may come from a generator that trains between them or loads checkpoints.

    Args:
        energies: The energy at each time.
        data: Examples, (n, *shape).
        negatives: Examples that should have more energy, such as noise or samples.
        steps: The training steps; counted from 0 if None.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: There is no energy, or the steps are not as many.
    """
    low, high = as_examples(data), as_examples(negatives, "negatives")
    checks.count("batch_size", batch_size)
    rows: list[tuple[Any, Any, float]] = []
    for energy in energies:
        ready = probe(energy, like=low)
        below, above = (np.nanquantile(ready.at(x, batch_size), QUANTILES) for x in (low, high))
        length = _gradient(as_energy(energy), ready.like(low), ready.like(high))
        rows.append((below, above, length))
    at = list(range(len(rows)) if steps is None else steps)
    if not rows or len(at) != len(rows):
        raise ValueError(
            f"energies must be as many as steps, at least one, got {len(rows)} and {len(at)}. "
            "Pass one step for each energy."
        )
    columns = (np.array(column) for column in zip(*rows, strict=True))
    return EnergyGap(np.asarray(at), *columns)


def _gradient(energy: Energy, low: Tensor, high: Tensor) -> float:
    """Return the length of the gap's gradient in the parameters, over some of the examples."""
    found = {p: None for m in modules(energy) for p in m.parameters(recurse=False)}
    wanted: list[nn.Parameter] = [p for p in found if p.requires_grad]
    if not wanted:
        return float("nan")
    with torch.enable_grad(), evaluating(energy):
        gap = energy(low[:1_024]).mean() - energy(high[:1_024]).mean()
        gradients = torch.autograd.grad(gap, wanted, materialize_grads=True)
    return float(sum(g.double().square().sum() for g in gradients) ** 0.5)
