"""What a decoder can make: the curve Dec(z) in the plane, and where examples land on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import evaluating
from ebm.landscape import canvas, palette
from ebm.landscape.bounds import as_examples, as_points


@dataclass(frozen=True)
class LatentManifold:
    """A curve in the plane, and pairs of an example and its reconstruction."""

    curve: NDArray[np.float64]
    """Dec(z) in the order of z, (k, 2)."""
    examples: NDArray[np.float64]
    """(n, 2)."""
    reconstructions: NDArray[np.float64]
    """Dec of the latent inferred for each example, (n, 2)."""

    @property
    def distances(self) -> NDArray[np.float64]:
        """From each example to its reconstruction, (n,)."""
        return np.linalg.norm(self.examples - self.reconstructions, axis=1)

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where examples lie in the picture, (n, 2): where they are."""
        return as_points(x).cpu().double().numpy()

    def draw_on(self, ax: Any) -> None:
        """Draw the curve, and a line from each example to its reconstruction."""
        from matplotlib.collections import LineCollection

        ax.plot(*self.curve.T, color=palette.EDGE, linewidth=3.2, zorder=2.6)
        ax.plot(*self.curve.T, color=palette.PATHS, linewidth=1.6, zorder=2.7)
        pairs = np.stack([self.examples, self.reconstructions], axis=1)
        ax.add_collection(
            LineCollection(list(pairs), colors=palette.INK, linewidths=0.7, zorder=2.8)
        )
        dot = {"s": 14, "edgecolors": palette.EDGE, "linewidths": 0.5, "zorder": 3}
        ax.scatter(*self.examples.T, c=palette.DATA, **dot)
        ax.set_aspect("equal")
        canvas.bare(ax)
        words = "magenta: what the decoder can make"
        if len(self.examples):
            words += f"; lines: examples to theirs, {self.distances.mean():.3g} on average"
        canvas.caption(ax, words)


def latent_manifold(
    decode: Callable[[Tensor], Tensor],
    z: Any,
    x: Any = None,
    infer: Callable[[Tensor], Tensor] | None = None,
) -> LatentManifold:
    """Return the curve that a decoder makes of latents, and where examples land on it.

    Draw it alone, or on a heat map: `draw(grid, trajectories=manifold)`.

    Args:
        decode: Latents to points, (k, *latent) -> (k, 2).
        z: Latents in the order of the curve, (k, *latent).
        x: Examples, (n, 2).
        infer: x -> z, such as the `infer` of a latent energy; without it an example lands on
            the nearest point of the curve.

    Raises:
        ValueError: The decoder does not make points of the plane.
    """
    with torch.no_grad(), evaluating(decode, infer):
        curve = as_points(decode(as_examples(z, "z")), "decode(z)").cpu().double()
        if x is None:
            return LatentManifold(curve.numpy(), np.empty((0, 2)), np.empty((0, 2)))
        points = as_points(x, "x")
        if infer is None:
            landed = curve[torch.cdist(points.cpu().double(), curve).argmin(1)]
        else:
            landed = as_points(decode(infer(points)), "decode(infer(x))").cpu().double()
    return LatentManifold(curve.numpy(), points.cpu().double().numpy(), landed.numpy())
