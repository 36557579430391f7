"""The energy on the plane through three examples of any shape.

    x(s, t) = a + s u + t v,    u along b - a, v along c - a made orthogonal to u,

with u and v of length one, so that distances in the picture are distances of examples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import heatmap, scale, thumbnails
from ebm.landscape.bounds import as_examples, thinned
from ebm.landscape.evaluate import probe
from ebm.landscape.grid import Grid
from ebm.landscape.lattice import axes_of, on_grid


@dataclass(frozen=True)
class Plane(Grid):
    """Energies on a plane: `values[j, i]` is the energy of `point(x[i], y[j])`."""

    corners: NDArray[np.float64]
    """The three examples, (3, *shape)."""
    positions: NDArray[np.float64]
    """Where they lie in the plane, (3, 2); the first at (0, 0)."""
    basis: NDArray[np.float64]
    """The two directions of the plane, orthonormal, (2, *shape)."""

    def point(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the example at a position in the plane."""
        return self.corners[0] + x * self.basis[0] + y * self.basis[1]

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where examples lie in the picture, (n, 2): their projection on the plane."""
        examples = as_examples(x).cpu().double().numpy()
        if examples.shape[1:] != self.corners.shape[1:]:
            raise ValueError(
                f"examples must have the shape of the corners, {self.corners.shape[1:]}, got "
                f"{examples.shape[1:]}. Pass a batch, such as x[None] for one example."
            )
        away = (examples - self.corners[0]).reshape(len(examples), -1)
        return away @ self.basis.reshape(2, -1).T

    def draw_on(self, ax: Any) -> None:
        """Draw the heat map, and the three examples where they lie."""
        heatmap.draw(ax, self.x, self.y, self.values, self.low, self.high)
        thumbnails.draw(ax, self.corners, self.positions)


def plane(
    energy: Energy | Callable[..., Tensor],
    a: Any,
    b: Any,
    c: Any,
    resolution: int | Sequence[int] = 60,
    *,
    margin: float = 0.4,
    data: Any = None,
    given: Sequence[Tensor] = (),
    batch_size: int = 1_024,
) -> Plane:
    """Return an energy on the plane through three examples.

    Args:
        energy: Any callable of a batch of examples, (batch, *shape) -> (batch,).
        a: The example at (0, 0), without a batch axis.
        b: The example at (|b - a|, 0).
        c: The third example, above that line.
        resolution: Points per axis, or (x points, y points).
        margin: Room around the three, as a share of their extent.
        data: Examples whose energies set the color range.
        given: What follows x in the energy's arguments, one row each.
        batch_size: Examples evaluated at once.

    Raises:
        ValueError: The three have different shapes or lie on one line, or the energy does
            not return one number per example, depends on the batch or needs more than x.
    """
    named = {"a": a, "b": b, "c": c}
    a, b, c = (as_examples(value, name).cpu() for name, value in named.items())
    checks.same_shape(a, b, c)
    checks.not_negative("margin", margin)
    corners = torch.stack([a, b, c]).cpu().double().numpy()
    basis = _basis(corners)
    positions = (corners - corners[0]).reshape(3, -1) @ basis.T
    low, high = positions.min(0), positions.max(0)
    room = margin * float((high - low).max())
    sides = [(float(p - room), float(q + room)) for p, q in zip(low, high, strict=True)]
    box = (sides[0], sides[1])
    ready = probe(energy, given, like=a)
    x, y = axes_of(box, resolution)
    origin, directions = ready.like(corners[0].reshape(-1)), ready.like(basis)

    def place(points: Tensor) -> Tensor:
        return (origin + points @ directions).reshape(-1, *a.shape)

    values = on_grid(ready, x, y, batch_size, place)
    examples = torch.stack([a, b, c]) if data is None else thinned(as_examples(data))
    checks.same_shape(a, examples[0])
    low, high = scale.color_range(values, ready.at(examples, batch_size))
    masked = int(np.isnan(values).sum())
    shaped = basis.reshape(2, *a.shape)
    return Plane(x, y, values, box, low, high, masked, corners, positions, shaped)


def spanning(examples: Tensor) -> Tensor:
    """Return the first three examples that span a plane.

    Raises:
        ValueError: There are no such three.
    """
    flat = examples.flatten(1).double()
    far = (flat - flat[0]).norm(dim=1) > 0
    if bool(far.any()):
        b = int(far.int().argmax())
        u = (flat[b] - flat[0]) / (flat[b] - flat[0]).norm()
        to_c = flat - flat[0]
        off = (to_c - (to_c @ u)[:, None] * u).norm(dim=1) > 1e-5 * to_c.norm(dim=1)
        if bool((off & far).any()):
            return examples[torch.tensor([0, b, int((off & far).int().argmax())])]
    raise ValueError(
        f"data must hold three examples that span a plane, got {len(examples)} on a point or a "
        "line. Pass more examples, or use ebm.landscape.profile(energy, a, b)."
    )


def _basis(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    to_b, to_c = (corners[1:] - corners[0]).reshape(2, -1)
    along = np.linalg.norm(to_b)
    u = to_b / along if along > 0 else to_b
    v = to_c - (to_c @ u) * u
    across = np.linalg.norm(v)
    if not across > 1e-6 * max(along, float(np.linalg.norm(to_c))) or along == 0:
        raise ValueError(
            "a, b, c must not lie on one line, got three examples without a plane. "
            "Choose other examples, or ebm.landscape.profile(energy, a, b) for a line."
        )
    v = v / across
    v = v - (v @ u) * u  # once more: the first time leaves rounding of the size of to_c
    return np.stack([u, v / np.linalg.norm(v)])
