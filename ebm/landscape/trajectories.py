"""The paths of chains."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ebm.landscape import palette

CHAINS = 40
"""Chains drawn, at most."""


@dataclass(frozen=True)
class Trajectories:
    """Where chains went in the plane, step by step."""

    positions: NDArray[np.float64]
    """(steps, chains, 2), NaN where they are not finite."""
    rejected: NDArray[np.float64]
    """Proposals that were rejected, (n, 2)."""

    def draw_on(self, ax: Any) -> None:
        """Draw each path from its ring to its dot, and a cross at each rejected proposal."""
        paths = self.positions[:, :CHAINS]
        over = {"clip_on": True, "zorder": 3}
        for path in paths.transpose(1, 0, 2):
            ax.plot(*path.T, color=palette.EDGE, linewidth=1.4, alpha=0.3, **over)
            ax.plot(*path.T, color=palette.PATHS, linewidth=0.6, **over)
        ax.plot(
            *self.rejected.T, "x", color=palette.INK, markersize=3, markeredgewidth=0.6, zorder=2.8
        )
        ring = {"s": 16, "edgecolors": palette.PATHS, "linewidths": 1.0, "zorder": 3.2}
        ax.scatter(*paths[0].T, c=palette.EDGE, **ring)
        ring |= {"edgecolors": palette.EDGE, "linewidths": 0.6}
        ax.scatter(*paths[-1].T, c=palette.PATHS, **ring)


def trajectories(chains: Any) -> Trajectories:
    """Return the paths of chains in the plane.

    Args:
        chains: What `ebm.samplers.chain` recorded, or positions (steps, chains, 2). With
            `chain(..., proposals=True)` and `thin=1`, rejected proposals are kept too.

    Raises:
        ValueError: The chains do not move in the plane.
    """
    positions = _array(getattr(chains, "positions", chains))
    if positions.ndim != 3 or positions.shape[2] != 2 or not positions.size:
        raise ValueError(
            f"chains must have shape (steps, chains, 2), got {positions.shape}. "
            "Stack the steps first: torch.stack(steps)."
        )
    proposals, acceptance = (getattr(chains, n, None) for n in ("proposals", "acceptance"))
    rejected = np.empty((0, 2))
    if proposals is not None and acceptance is not None:
        rejected = _array(proposals)[_array(acceptance) == 0]
    return Trajectories(np.where(np.isfinite(positions), positions, np.nan), rejected)


def _array(values: Any) -> NDArray[np.float64]:
    return torch.as_tensor(values).detach().cpu().double().numpy()
