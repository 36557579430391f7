"""The energy along the line through two examples, x(t) = a + t (b - a)."""

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Profile:
    """Energies along a line: `values[i]` is the energy of a + t[i] (b - a)."""

    t: NDArray[np.float64]
    """0 at a, 1 at b."""
    values: NDArray[np.floating]
    """Energies, NaN where they are not finite."""
    ends: NDArray[np.float64]
    """The two examples, (2, *shape)."""
    end_values: NDArray[np.floating]
    """Their energies."""
    masked: int
    """How many energies are not finite."""
    size = (6.0, 3.6)

    @property
    def barrier(self) -> float:
        """How much energy rises above the higher of the two ends on the way between them."""
        between = self.values[(self.t >= 0) & (self.t <= 1)]
        top = np.nanmax(np.concatenate([between, self.end_values]))
        return float(top - self.end_values.max())

    @property
    def length(self) -> float:
        """The distance from a to b."""
        return float(np.linalg.norm(self.ends[1] - self.ends[0]))

    def draw_on(self, ax: Any) -> None:
        """Draw the curve, the two ends, and the barrier between them if there is one."""
        single = self.ends.size == 2
        at = self.ends.ravel()[0] + self.t * np.diff(self.ends.ravel())[0] if single else self.t
        ends = self.ends.ravel() if single else np.array([0.0, 1.0])
        ax.plot(at, self.values, color=palette.LINES[0], linewidth=1.8)
        if not single:
            ax.scatter(
                ends,
                self.end_values,
                s=34,
                c=palette.DATA,
                edgecolors=palette.EDGE,
                linewidths=1,
                zorder=3,
            )
            for letter, x, y in zip("ab", ends, self.end_values, strict=True):
                ax.annotate(
                    letter,
                    (x, y),
                    xytext=(0, 7),
                    textcoords="offset points",
                    ha="center",
                    color=palette.INK,
                    fontsize=9,
                )
        canvas.ruled(ax, "E")
        words = []
        if not single:
            words.append(f"a at 0, b at 1, {self.length:.3g} apart; barrier {self.barrier:.3g}")
        if self.masked:
            words.append(f"{self.masked:,} of {len(self.t):,} energies not finite")
        canvas.caption(ax, "; ".join(words))


def profile(
    energy: Energy | Callable[..., Tensor],
    a: Any,
    b: Any,
    points: int = 200,
    *,
    margin: float = 0.25,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> Profile:
    """Return an energy along the line through two examples.

    For an energy of single numbers, (batch, 1) -> (batch,), the ends are numbers:
    `profile(energy, -3.0, 3.0, margin=0)`.

    >>> import ebm, torch
    >>> ends = torch.zeros(3), torch.ones(3)
    >>> ebm.landscape.profile(ebm.energies.Quadratic(), *ends, 3, margin=0).values.tolist()
    [0.0, 0.375, 1.5]

    Args:
        energy: Any callable of a batch of examples, (batch, *shape) -> (batch,).
        a: The example at t = 0, without a batch axis.
        b: The example at t = 1.
        points: How many energies.
        margin: How far the line goes on beyond both ends, as a share of their distance.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: The two have different shapes or are the same, or the energy does not
            return one number per example, depends on the batch or needs more than x.
    """
    a, b = (
        as_examples(np.atleast_1d(value) if np.isscalar(value) else value, name).cpu()
        for name, value in {"a": a, "b": b}.items()
    )
    checks.same_shape(a, b)
    checks.count("points", points, 2)
    checks.count("batch_size", batch_size)
    checks.not_negative("margin", margin)
    if torch.equal(a, b):
        raise ValueError("a and b must differ, got the same example twice. Choose another b.")
    ready = probe(energy, given, like=a)
    start, way = ready.like(a), ready.like(b.double() - a.double())
    t = np.linspace(-margin, 1 + margin, points)
    where = ready.like(t)

    def locations(index: Tensor) -> Tensor:
        return start + where[index].reshape(-1, *[1] * a.ndim) * way

    values = ready.values(locations, points, batch_size)
    ends = torch.stack([a, b])
    end_values = ready.at(ends, batch_size)
    masked = int(np.isnan(values).sum())
    return Profile(t, values, ends.cpu().double().numpy(), end_values, masked)
