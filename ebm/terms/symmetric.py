"""Symmetric: the average of both directions."""

from torch import Tensor

from ebm.energy import Energy
from ebm.traits import Not, Reach, Trait, ViewSwap


class Symmetric(Energy):
    """E(x, y) = (F(x, y) + F(y, x)) / 2 for an energy F of two views.

    An energy with a method `both_ways(x, y)` gives the average by itself, from one matrix.

    Args:
        energy: The energy of one direction.
    """

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy = energy

    @property
    def name(self) -> str:
        """The name of the energy of one direction."""
        return self.energy.name

    @property
    def reach(self) -> Reach:
        """The reach of the energy of one direction."""
        return self.energy.reach

    @property
    def traits(self) -> tuple[Trait, ...]:
        """Those of one direction, and the exchange of the views."""
        kept = [t for t in self.energy.traits if t != ViewSwap() and not _says_not(t)]
        return (*kept, ViewSwap())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the average of both directions, at once where the energy offers that."""
        both_ways = getattr(self.energy, "both_ways", None)
        if both_ways is not None:
            return both_ways(x, y)
        return (self.energy(x, y) + self.energy(y, x)) / 2


def _says_not(trait: Trait) -> bool:
    return isinstance(trait, Not) and trait.trait == ViewSwap()
