"""Three pictures of one law: the true density, the model's, and samples as a histogram."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas, heatmap, palette
from ebm.landscape.bounds import Bounds, as_points, bounds_of
from ebm.landscape.density import density
from ebm.landscape.lattice import centers_of


@dataclass(frozen=True)
class Triptych:
    """Densities on the cells of one grid, (len(y), len(x)) each."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    true: NDArray[np.float64]
    """The true density, or the histogram of the data."""
    model: NDArray[np.float64]
    """exp(-E / temperature) / Z."""
    samples: NDArray[np.float64]
    """The histogram of the samples, as a density."""
    bounds: Bounds
    """Outside of which nothing is counted."""
    temperature: float
    """The temperature of the model."""
    count: int
    """How many samples there are."""
    outside: int
    """How many of them lie outside of the bounds."""
    size = (10.5, 3.9)

    @property
    def total_variation(self) -> dict[str, float]:
        """Half the integral of |p - q|, 0 to 1: true against model, model against samples."""
        area = float((self.x[1] - self.x[0]) * (self.y[1] - self.y[0]))

        def distance(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
            return float(np.abs(p - q).sum() * area / 2)

        return {
            "true, model": distance(self.true, self.model),
            "model, samples": distance(self.model, self.samples),
            "true, samples": distance(self.true, self.samples),
        }

    def draw_on(self, ax: Any) -> None:
        """Draw the three on one scale, dark where likely."""
        from matplotlib.colors import Normalize

        shown = {"true": self.true, "model": self.model, "samples": self.samples}
        axes = canvas.panels(ax, list(shown))
        norm = Normalize(0, float(np.quantile(np.stack([self.true, self.model]), 0.999)) or 1.0)
        image: Any = None
        for panel, values in zip(axes, shown.values(), strict=True):
            colors = {"cmap": palette.density(), "norm": norm}
            image = heatmap.picture(panel, self.x, self.y, values, **colors)
            if panel is not axes[0]:
                panel.set_yticklabels([])
        heatmap.bar(axes[-1], image, "p")
        apart = self.total_variation
        canvas.caption(axes[1], f"total variation from true {apart['true, model']:.2f}")
        outside = f", {self.outside:,} outside" if self.outside else ""
        words = f"{self.count:,} samples{outside}"
        canvas.caption(axes[2], f"{words}; from model {apart['model, samples']:.2f}")


def triptych(
    true: Any,
    model: Energy | Callable[..., Tensor],
    samples: Any,
    bounds: Any = None,
    resolution: int = 60,
    *,
    temperature: float = 1.0,
) -> Triptych:
    """Return the true density, the model's, and the samples' on one grid.

    Args:
        true: The true energy, or points of the data, (n, 2).
        model: The energy of the model.
        samples: Points that a sampler made, (n, 2).
        bounds: As for `grid`; those of the samples if None.
        resolution: Cells per axis; few, so that each holds some samples.
        temperature: The temperature of the model; the true one is at 1.

    Raises:
        ValueError: As for `density`.
    """
    points = as_points(samples, "samples")
    box = bounds_of(bounds, points)
    fitted = density(model, box, resolution, temperature=temperature)
    if callable(true):
        law: Any = true
        exact = density(law, box, resolution).values
    else:
        exact, _ = histogram(as_points(true, "true"), box, resolution)
    counted, outside = histogram(points, box, resolution)
    return Triptych(
        *centers_of(box, resolution),
        exact,
        fitted.values,
        counted,
        box,
        float(temperature),
        len(points),
        outside,
    )


def histogram(points: Tensor, box: Bounds, resolution: int) -> tuple[NDArray[np.float64], int]:
    """Return the density of points on the cells of a box, and how many lie outside."""
    low = torch.tensor([side[0] for side in box], dtype=torch.float64)
    high = torch.tensor([side[1] for side in box], dtype=torch.float64)
    x = points.cpu().double()
    inside = ((x >= low) & (x <= high)).all(1)
    cell = ((x[inside] - low) / (high - low) * resolution).long().clamp(max=resolution - 1)
    counts = torch.bincount(cell[:, 1] * resolution + cell[:, 0], minlength=resolution**2)
    area = float((high - low).prod()) / resolution**2
    shape = counts.double().reshape(resolution, resolution).numpy()
    return shape / max(int(inside.sum()), 1) / area, int((~inside).sum())
