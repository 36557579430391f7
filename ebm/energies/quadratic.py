"""The quadratic energy."""

from ebm.energy import Energy
from ebm.shapes import Configurations, Energies
from ebm.traits import (
    BatchPermutation,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    Rotation,
    SignFlip,
)


class Quadratic(Energy):
    """E(x) = |x|^2 / 2: the standard Gaussian, without its normalizer."""

    traits = (
        BatchPermutation(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        Homogeneous(2.0),
        LowerBound(0.0, attained=True),
    )

    def forward(self, x: Configurations) -> Energies:
        """Return half the squared norm of each example."""
        return x.flatten(1).square().sum(-1) / 2
