"""The energy over a latent, E(x, z) against z, for a few x: which z explains x, and how surely."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples
from ebm.landscape.evaluate import pair_energies


@dataclass(frozen=True)
class LatentCurves:
    """Energies over a latent of one number: `values[i, k]` is E(x_i, z[k])."""

    z: NDArray[np.float64]
    """(k,), rising."""
    values: NDArray[np.floating]
    """(n, k), NaN where they are not finite."""
    size = (6.0, 3.8)

    @property
    def best(self) -> NDArray[np.float64]:
        """The z of lowest energy for each x, (n,)."""
        return self.z[np.nanargmin(self.values, axis=1)]

    @property
    def lowest(self) -> NDArray[np.floating]:
        """The energy there, min_z E(x, z): the free energy at temperature 0, (n,)."""
        return np.nanmin(self.values, axis=1)

    def draw_on(self, ax: Any) -> None:
        """Draw a curve for each x, with a dot at its best z."""
        many = len(self.values) > len(palette.LINES)
        for i, (curve, z, low) in enumerate(zip(self.values, self.best, self.lowest, strict=True)):
            color, label = palette.color(i), None if many else f"x{i}"
            ax.plot(self.z, curve, color=color, linewidth=1.0 if many else 1.6, label=label)
            dot = {"c": color, "edgecolors": palette.EDGE, "linewidths": 1, "zorder": 3}
            ax.scatter([z], [low], s=34, **dot)
        canvas.ruled(ax)
        canvas.legend(ax, 7)
        canvas.caption(ax, "E(x, z) against z; dots: the z of lowest energy for each x")


def latent_curves(
    energy: Energy | Callable[..., Tensor], x: Any, z: Any, *, batch_size: int = 65_536
) -> LatentCurves:
    """Return the energies of each x with each of the latents.

    Args:
        energy: (x, z) -> (batch,).
        x: Examples, (n, *shape).
        z: Latents of one number, (k,) or (k, 1), as the energy takes them.
        batch_size: Pairs evaluated at once.

    Raises:
        ValueError: A latent holds more than one number, or the energy is not one number
            per pair.
    """
    x, z = as_examples(x, "x"), as_examples(z, "z")
    if z[0].numel() != 1:
        raise ValueError(
            f"z must hold one number each, got shape {tuple(z.shape)}. Draw several with "
            "ebm.landscape.latent_map."
        )
    z = z[z.flatten().argsort()]
    values = pair_energies(energy, x, z.to(x.dtype), batch_size)
    return LatentCurves(z.flatten().cpu().double().numpy(), values)
