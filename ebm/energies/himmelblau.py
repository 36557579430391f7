"""Himmelblau's function."""

import torch
from torch import Tensor

from ebm.energy import Energy
from ebm.shapes import Energies, Points
from ebm.traits import BatchPermutation, LowerBound


class Himmelblau(Energy):
    """E(x) = (x_1^2 + x_2 - 11)^2 + (x_1 + x_2^2 - 7)^2: four minima, all at zero.

    The wells are steep at temperature 1; 0.05 * Himmelblau() has passes between them.

    Reference: Himmelblau, "Applied Nonlinear Programming", McGraw-Hill, 1972.
    """

    traits = (BatchPermutation(), LowerBound(0.0, attained=True))
    minima: Tensor

    def __init__(self) -> None:
        super().__init__()
        minima = [
            [3.0, 2.0],
            [-2.805118086952745, 3.131312518250573],
            [-3.779310253377747, -3.283185991286170],
            [3.584428340330492, -1.848126526964404],
        ]
        self.register_buffer("minima", torch.tensor(minima), persistent=False)

    def forward(self, x: Points) -> Energies:
        """Return the energy of each point."""
        first, second = x.flatten(1).unbind(-1)
        one = first.square() + second - 11
        other = first + second.square() - 7
        return one.square() + other.square()
