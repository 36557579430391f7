"""The energy of an example along several directions: is it a minimum, and how wide a one?"""

from collections.abc import Callable, Mapping, Sequence
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
class Directions:
    """Energies of x + t d: `values[name][i]` is at distance `t[i]` along a direction."""

    t: NDArray[np.float64]
    """Distances from the example, (points,)."""
    values: dict[str, NDArray[np.floating]]
    """By the name of the direction, (points,), NaN where they are not finite."""
    vectors: dict[str, NDArray[np.float64]]
    """The directions, of length one, (*shape)."""
    energy: float
    """The energy of the example itself."""
    masked: int
    """How many energies are not finite."""
    size = (6.2, 3.8)

    def draw_on(self, ax: Any) -> None:
        """Draw a curve for each direction through the example."""
        for k, (name, values) in enumerate(self.values.items()):
            ax.plot(self.t, values, color=palette.color(k), linewidth=1.6, label=name)
        dot = {"c": palette.DATA, "edgecolors": palette.EDGE, "linewidths": 1, "zorder": 3}
        ax.scatter([0], [self.energy], s=34, **dot)
        canvas.ruled(ax)
        canvas.legend(ax)
        hidden = f"; {self.masked:,} energies not finite" if self.masked else ""
        canvas.caption(ax, f"E against the distance from the example (orange){hidden}")


def directions(
    energy: Energy | Callable[..., Tensor],
    x: Any,
    toward: Mapping[str, Any] | None = None,
    *,
    reach: float | None = None,
    points: int = 201,
    noises: int = 2,
    given: Sequence[Tensor] = (),
    generator: torch.Generator | None = None,
    batch_size: int = 1_024,
) -> Directions:
    """Return the energies around an example: along its gradient, noise, and other examples.

    Args:
        energy: Any callable of a batch of examples, differentiable in x.
        x: The example, without a batch axis.
        toward: Other examples by name: the lines through them.
        reach: The largest distance; half the length of the example if None.
        points: Energies along each direction.
        noises: Directions of standard normal noise.
        given: What follows x in the energy's arguments, one row each.
        generator: Source of the noise; torch's default if None.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: Another example is the same as x, or as for `profile`.
    """
    x = as_examples(x, "x")
    checks.count("points", points, 3)
    checks.count("noises", noises, 0)
    ready = probe(energy, given, like=x)
    start = ready.like(x)
    gradient = -ready.scores(lambda index: start[None][index], 1, batch_size)[0]
    vectors = {"gradient": np.asarray(gradient, np.float64)}
    for k in range(noises):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        vectors[f"noise {k + 1}" if noises > 1 else "noise"] = noise.double().numpy()
    for name, other in (toward or {}).items():
        other = as_examples(other, name)
        checks.same_shape(x, other)
        vectors[name] = (other.double() - x.double()).cpu().numpy()
    for name, vector in vectors.items():
        length = float(np.linalg.norm(vector))
        if length == 0 and name != "gradient":
            raise ValueError(f"{name} must differ from x, got the same example. Choose another.")
        vectors[name] = np.nan_to_num(vector / (length or 1.0))
    far = checks.positive("reach", reach if reach is not None else float(x.norm()) / 2 or 1.0)
    t = np.linspace(-far, far, points)
    where, values = ready.like(t).reshape(-1, *[1] * x.ndim), {}
    for name, vector in vectors.items():
        way = ready.like(vector)
        values[name] = ready.values(
            lambda index, way=way: start + where[index] * way, points, batch_size
        )
    own = float(ready.at(x[None], 1)[0])
    masked = sum(int(np.isnan(v).sum()) for v in values.values())
    return Directions(t, values, vectors, own, masked)
