"""The curl of a vector field: where a score network is the gradient of no energy.

    curl s(x) = d s_2 / d x_1 - d s_1 / d x_2

It is zero everywhere for s = -dE/dx. What is left is motion in circles that no energy has:
noise-free chains of such a field need not come to rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import evaluating, without_parameters
from ebm.landscape import canvas, heatmap, palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of
from ebm.landscape.evaluate import place_of
from ebm.landscape.lattice import axes_of


@dataclass(frozen=True)
class Curl:
    """The curl of a field on a grid: `values[j, i]` at `(x[i], y[j])`."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.floating]
    """(len(y), len(x)), NaN where it is not finite."""
    lengths: NDArray[np.floating]
    """Of the field's vectors, in the same places."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""

    @property
    def largest(self) -> float:
        """The largest curl, whatever its sign."""
        return float(np.nanmax(np.abs(self.values), initial=0.0))

    def draw_on(self, ax: Any) -> None:
        """Draw where the field turns: orange against the clock, blue with it."""
        from matplotlib.colors import Normalize

        top = self.largest or 1.0
        image = heatmap.picture(
            ax, self.x, self.y, self.values, cmap=palette.signed(), norm=Normalize(-top, top)
        )
        heatmap.bar(ax, image, "curl")
        typical = float(np.nanmedian(self.lengths))
        canvas.caption(ax, f"|curl| up to {self.largest:.3g}; the field is {typical:.3g} long")


def curl(
    field: Callable[[Tensor], Tensor],
    bounds: Any = None,
    resolution: int | Sequence[int] = 60,
    *,
    data: Any = None,
    batch_size: int = 16_384,
) -> Curl:
    """Return the curl of a field of the plane, such as a score network, in eval mode.

    Args:
        field: Maps points to vectors, (batch, 2) -> (batch, 2), each point by itself.
        bounds: As for `grid`.
        resolution: Points per axis, or (x points, y points).
        data: Points, (n, 2), that set the bounds if there are none.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: The field does not return one vector per point.
    """
    points = None if data is None else as_points(data)
    checks.count("batch_size", batch_size)
    box = bounds_of(bounds, points)
    x, y = axes_of(box, resolution)
    device, dtype = place_of(field, points)
    places = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    found = []
    with torch.enable_grad(), evaluating(field), without_parameters(field):
        for start in range(0, len(places), batch_size):
            at = torch.as_tensor(places[start : start + batch_size]).to(device, dtype)
            found.append(_turning(field, at.requires_grad_()))
    values, lengths = np.concatenate(found).reshape(len(y), len(x), 2).transpose(2, 0, 1)
    return Curl(x, y, np.where(np.isfinite(values), values, np.nan), lengths, box)


def _turning(field: Callable[[Tensor], Tensor], x: Tensor) -> NDArray[np.float64]:
    """Return the curl and the length of the field at points, (batch, 2)."""
    vectors = field(x)
    if vectors.shape != x.shape:
        raise ValueError(
            f"field must return one vector per point, shape {tuple(x.shape)}, got "
            f"{tuple(vectors.shape)}. Pass a score: lambda x: ebm.score(energy, x)."
        )
    # A field that is constant in x, or does not hang on it, turns nowhere.
    slopes = [
        torch.autograd.grad(part.sum(), x, retain_graph=True, materialize_grads=True)[0]
        if part.requires_grad
        else torch.zeros_like(x)
        for part in vectors.unbind(1)
    ]
    turning = slopes[1][:, 0] - slopes[0][:, 1]
    return torch.stack([turning, vectors.norm(dim=1)], 1).detach().cpu().double().numpy()
