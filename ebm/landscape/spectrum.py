"""The singular values of embeddings: how many directions they use."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples

FLOOR = 1e-8
"""Singular values below this share of the largest are drawn there."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values, and two counts of the directions in use."""

    values: NDArray[np.float64]
    """Singular values of the embeddings, not centered, falling."""
    rank_me: float
    """The effective rank: the exponential of the entropy of the values' shares."""
    participation_ratio: float
    """(sum v)^2 / sum v^2 of the covariance's eigenvalues v."""
    dim: int
    """Dimensions of the embeddings."""
    size = (6.0, 3.6)

    def draw_on(self, ax: Any) -> None:
        """Draw the values on a logarithmic axis, and the effective rank."""
        shares = np.maximum(self.values / max(self.values[0], 1e-30), FLOOR)
        ax.plot(np.arange(1, len(shares) + 1), shares, ".-", color=palette.LINES[0], linewidth=1.4)
        ax.axvline(self.rank_me, color=palette.DATA, linewidth=1.4)
        place = {"xytext": (4, -10), "textcoords": "offset points", "fontsize": 8}
        label = f"RankMe {self.rank_me:.1f} of {self.dim}"
        ax.annotate(label, (self.rank_me, 1), color=palette.INK, **place)
        ax.set_yscale("log")
        ax.set_ylim(max(0.5 * shares.min(), FLOOR / 2), 2)
        canvas.ruled(ax, "share of the largest")
        canvas.caption(
            ax,
            "singular values by rank; a cliff is a collapse onto the directions before it; "
            f"participation ratio {self.participation_ratio:.1f}",
        )


def spectrum(z: Any) -> Spectrum:
    """Return the singular values of embeddings, (n, dim).

    Raises:
        ValueError: The embeddings are no matrix with 2 rows or more.
    """
    from ebm.evaluation.spectrum import participation_ratio, rank_me
    from ebm.evaluation.spectrum import spectrum as singular_values

    x = as_examples(z, "z").double()
    values = singular_values(x).cpu().numpy()
    return Spectrum(values, rank_me(x), participation_ratio(x), x.shape[1])
