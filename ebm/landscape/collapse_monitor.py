"""The collapse monitor: four numbers over training that tell whether embeddings collapse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples

LIGHTS = {"collapsed": "#c62828", "few dimensions": "#e0a100", "healthy": "#2e7d32"}
"""Red, yellow, green; the word says it too."""


@dataclass(frozen=True)
class CollapseMonitor:
    """Measures of embeddings, one for each time."""

    steps: NDArray[np.int64]
    """Training steps, (k,)."""
    deviation: NDArray[np.float64]
    """Deviation on the sphere, times sqrt(dim), (k,): about 1 when spread, 0 at collapse."""
    rank: NDArray[np.float64]
    """Effective rank (RankMe) over dim, (k,)."""
    cosine: NDArray[np.float64]
    """Mean cosine of two different embeddings, (k,): 1 at collapse."""
    loss: NDArray[np.float64] | None
    """What was minimized, (k,), or None."""
    collapse_value: float | None
    """What the loss is at collapse, or None."""
    state: str
    """What the last embeddings are: "healthy", "few dimensions" or "collapsed"."""

    @property
    def size(self) -> tuple[float, float]:
        """Room for a panel each."""
        return (9.6 if self.loss is None else 12.4), 3.2

    def draw_on(self, ax: Any) -> None:
        """Draw a panel for each measure, the value at collapse as a red line."""
        shown: dict[str, tuple[NDArray[np.float64], float | None]] = {
            "deviation on the sphere": (self.deviation, 0.0),
            "effective rank / dim": (self.rank, 0.0),
            "mean cosine": (self.cosine, 1.0),
        }
        if self.loss is not None:
            shown["loss"] = (self.loss, self.collapse_value)
        for panel, (values, bad) in zip(
            canvas.panels(ax, list(shown)), shown.values(), strict=True
        ):
            panel.plot(self.steps, values, ".-", color=palette.LINES[0], linewidth=1.5)
            if bad is not None:
                panel.axhline(bad, color=LIGHTS["collapsed"], linewidth=1.2, linestyle="--")
            canvas.ruled(panel)
            canvas.caption(panel, "step")
        light = {"color": LIGHTS[self.state], "fontsize": 10, "loc": "right"}
        ax.set_title(f"● {self.state}", **light)


def collapse_monitor(
    embeddings: Sequence[Any],
    steps: Sequence[int] | None = None,
    *,
    loss: Sequence[float] | None = None,
    collapse_value: float | None = None,
) -> CollapseMonitor:
    """Return measures of embeddings of the same examples over training.

    Args:
        embeddings: One matrix for each time, (n, dim).
        steps: The training steps; counted from 0 if None.
        loss: What was minimized, at the same times.
        collapse_value: What the loss is at collapse; a term's trait `CollapseValue` says it.

    Raises:
        ValueError: There are no embeddings, numbers differ, or they are no matrices.
    """
    from ebm.evaluation.collapse import collapse

    at = list(range(len(embeddings)) if steps is None else steps)
    several = [at] if loss is None else [at, list(loss)]
    if not len(embeddings) or any(len(values) != len(embeddings) for values in several):
        raise ValueError(
            "embeddings must be as many as steps and losses, at least one, got "
            f"{len(embeddings)} and {[len(values) for values in several]}. Record all at once."
        )
    found = [collapse(None, as_examples(z, "embeddings")) for z in embeddings]
    last = found[-1]
    state = "collapsed" if last.complete else "few dimensions" if last.dimensional else "healthy"
    return CollapseMonitor(
        np.asarray(at),
        np.array([look.deviation for look in found]),
        np.array([look.rank / look.dim for look in found]),
        np.array([look.cosine for look in found]),
        None if loss is None else np.asarray(loss, np.float64),
        collapse_value,
        state,
    )
