"""A free energy along a line at several temperatures.

Cold, F is a minimum over latents, with spikes where the best latent changes; warm, it is
an average and relaxes toward a parabola.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm.energy import Energy
from ebm.landscape import canvas
from ebm.landscape.profile import profile


@dataclass(frozen=True)
class TemperatureSections:
    """Energies along a line: `values[k, i]` is F at `temperatures[k]` and a + t[i] (b - a)."""

    temperatures: NDArray[np.float64]
    """(k,)."""
    t: NDArray[np.float64]
    """0 at a, 1 at b, (points,)."""
    values: NDArray[np.floating]
    """(k, points), NaN where they are not finite."""
    ends: NDArray[np.float64]
    """The two examples, (2, *shape)."""
    masked: int
    """How many energies are not finite."""
    size = (6.0, 3.8)

    def draw_on(self, ax: Any) -> None:
        """Draw a curve for each temperature, from dark and cold to pale and hot."""
        import matplotlib

        colors = matplotlib.colormaps["plasma"](np.linspace(0.05, 0.85, len(self.temperatures)))
        order = np.argsort(self.temperatures)
        for color, k in zip(colors, order, strict=True):
            label = f"T = {self.temperatures[k]:g}"
            ax.plot(self.t, self.values[k], color=color, linewidth=1.7, label=label)
        canvas.ruled(ax)
        canvas.legend(ax, 5)
        length = np.linalg.norm(self.ends[1] - self.ends[0])
        hidden = f"; {self.masked:,} energies not finite" if self.masked else ""
        canvas.caption(ax, f"F along the line, a at 0, b at 1, {length:.3g} apart{hidden}")


def temperature_sections(
    energy_at: Callable[[float], Energy | Callable[..., Tensor]],
    a: Any,
    b: Any,
    temperatures: Sequence[float] = (0.0, 0.1, 0.3, 1.0, 3.0),
    *,
    points: int = 300,
    margin: float = 0.25,
    batch_size: int = 1_024,
) -> TemperatureSections:
    """Return the energies along the line through two examples at several temperatures.

    Args:
        energy_at: The energy at a temperature, such as the `free` of a latent energy, or
            `lambda t: energy / t`.
        a: The example at t = 0, without a batch axis; a number for single numbers.
        b: The example at t = 1.
        temperatures: What `energy_at` is called with.
        points: Energies at each temperature.
        margin: How far the line goes on beyond both ends, as a share of their distance.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: There is no temperature, or as for `profile`.
    """
    if not len(temperatures):
        raise ValueError("temperatures must hold at least one, got none. Pass (0.1, 1.0).")
    found = [
        profile(energy_at(t), a, b, points, margin=margin, batch_size=batch_size)
        for t in temperatures
    ]
    values = np.stack([section.values for section in found])
    masked = sum(section.masked for section in found)
    heat = np.asarray(temperatures, np.float64)
    return TemperatureSections(heat, found[0].t, values, found[0].ends, masked)
