"""The dark fields of a checkerboard."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks
from toy_data.point_set import Bounds, PointSet, interior


@dataclass(frozen=True)
class Checkerboard(PointSet):
    """Uniform on every other field of a square board about the origin.

    The log density is one constant on the dark fields and -inf elsewhere.
    """

    fields: int = 4
    """Fields along each side of the board."""
    half_width: float = 3.0
    """Half the side of the board, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.count("fields", self.fields)
        checks.positive("half_width", self.half_width)

    @property
    def weights(self) -> tuple[float, ...]:
        """The same share for every dark field; labels count up the second coordinate first."""
        return (1 / len(self._dark),) * len(self._dark)

    @property
    def bounds(self) -> Bounds:
        """The board, which holds all of the mass."""
        return (-self.half_width, self.half_width), (-self.half_width, self.half_width)

    @property
    def _side(self) -> float:
        return 2 * self.half_width / self.fields

    @property
    def _dark(self) -> list[tuple[int, int]]:
        steps = range(self.fields)
        return [(i, j) for i in steps for j in steps if (i + j) % 2 == 0]

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(labels)
        corner = torch.tensor(self._dark, dtype=torch.float64, device=labels.device)[labels]
        inside = torch.stack([interior(n, generator), interior(n, generator)], dim=1)
        return self._side * (corner + inside) - self.half_width

    def _log_density(self, x: Tensor) -> Tensor:
        field = ((x + self.half_width) / self._side).floor()
        on_board = ((field >= 0) & (field < self.fields)).all(dim=1)
        dark = on_board & (field.sum(dim=1) % 2 == 0)
        constant = -math.log(len(self._dark) * self._side**2)
        return torch.full_like(x[:, 0], -math.inf).masked_fill(dark, constant)


checkerboard = Checkerboard()
