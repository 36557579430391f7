"""Alignment: the squared distance of two embeddings on the sphere."""

from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.unit import unit
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
    UpperBound,
    Views,
    ViewSwap,
)


class Alignment(Energy):
    """E(x, y) = |x / |x| - y / |y||^2 = 2 - 2 cos(x, y), in [0, 4].

    The prediction loss of BYOL, and with `Uniformity` a loss of its own.

    Reference: Wang & Isola, "Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere", ICML 2020, arXiv:2005.10242, eq. 4 at
    alpha = 2; Grill et al., "Bootstrap your own latent", NeurIPS 2020, eq. 2.
    """

    traits = (
        Views(2),
        BatchPermutation(),
        ViewSwap(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        PositiveScale(),
        Homogeneous(0.0),
        LowerBound(0.0, attained=True),
        UpperBound(4.0, attained=True),
        CollapseValue(0.0),
        Not(PerViewRotation(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return the squared distance of each pair on the sphere.

        Raises:
            ValueError: The views are no matrices of one shape.
        """
        checks.embeddings(x, y)
        return (unit(x) - unit(y)).square().sum(-1)
