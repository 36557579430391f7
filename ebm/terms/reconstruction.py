"""Reconstruction: the squared distance of an example and its reconstruction."""

from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import PAIR
from ebm.terms.invariance import squared_distance
from ebm.terms.precision import full_precision
from ebm.traits import (
    BatchPermutation,
    CollapseValue,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    Not,
    PerViewAffine,
    PerViewRotation,
    PerViewTranslation,
    PositiveScale,
    PreventsCollapse,
    Rotation,
    SignFlip,
    Translation,
    Views,
    ViewSwap,
)


class Reconstruction(Energy):
    """E(x, y) = |x - y|^2, summed over all that follows the batch axis.

    x is the example, y its reconstruction; both have any one shape.
    """

    traits = (
        Views(2),
        BatchPermutation(),
        ViewSwap(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        Translation(),
        Homogeneous(2.0),
        LowerBound(0.0, attained=True),
        CollapseValue(0.0),
        Not(PerViewRotation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PositiveScale(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of each example and its reconstruction.

        Raises:
            ValueError: The shapes differ.
        """
        checks.same_shape(x, y)
        return squared_distance(x[:, None].flatten(1), y[:, None].flatten(1))
