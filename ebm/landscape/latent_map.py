"""A map of a latent space: what is decoded at each place, and the energy of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, evaluating
from ebm.landscape import canvas, heatmap, mosaic, palette
from ebm.landscape.evaluate import probe
from ebm.landscape.grid import Grid, grid
from ebm.landscape.lattice import centers_of


@dataclass(frozen=True)
class LatentMap:
    """Energies over a plane of latents, with decoded examples."""

    grid: Grid
    """The energy of each z."""
    x: NDArray[np.float64]
    """First coordinates of the decoded latents, (columns,)."""
    y: NDArray[np.float64]
    """Second coordinates, (rows,)."""
    examples: NDArray[np.float64]
    """Decoded at (x[i], y[j]), (rows, columns, *shape)."""
    size = (9.6, 4.6)

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where latents lie in the map, (n, 2)."""
        return self.grid.locate(x)

    def draw_on(self, ax: Any) -> None:
        """Draw the energy, and beside it what is decoded at the dots."""
        left, right = canvas.panels(ax, ["E over z", "decoded at the dots"])
        g = self.grid
        heatmap.draw(left, g.x, g.y, g.values, g.low, g.high)
        places = np.stack(np.meshgrid(self.x, self.y), -1).reshape(-1, 2)
        left.scatter(*places.T, s=7, c=palette.EDGE, edgecolors=palette.INK, linewidths=0.4)
        mosaic.draw(right, self.examples[::-1])  # up is up, as in the heat map


def latent_map(
    decode: Callable[[Tensor], Tensor],
    energy: Energy | Callable[..., Tensor],
    bounds: Any = None,
    decoded: int = 10,
    *,
    resolution: int | Sequence[int] = 60,
    data: Any = None,
    batch_size: int = 4_096,
) -> LatentMap:
    """Return the energy over a plane of latents and what is decoded there.

    Args:
        decode: Latents, (k, 2), to examples, (k, *shape).
        energy: z -> (batch,), such as `lambda z: model.energy(decode(z))`.
        bounds: As for `grid`, of the latents.
        decoded: Decoded examples in a row and in a column.
        resolution: Points per axis of the energy.
        data: Latents of data, (n, 2), that set the bounds and the color range.
        batch_size: Latents evaluated at once.

    Raises:
        ValueError: The latents are not two numbers each, or as for `grid`.
    """
    checks.count("decoded", decoded, 2)
    found = grid(energy, bounds, resolution, data=data, batch_size=batch_size)
    x, y = centers_of(found.bounds, decoded)
    z = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    ready = probe(energy, like=data if isinstance(data, Tensor) else None)
    with torch.no_grad(), evaluating(decode):
        made = decode(ready.like(z)).cpu().double().numpy()
    return LatentMap(found, x, y, made.reshape(decoded, decoded, *made.shape[1:]))
