"""Cosine: how far two directions are apart."""

from torch import Tensor
from torch.nn import functional

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import PAIR
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
    UpperBound,
    Views,
    ViewSwap,
)


class Cosine(Energy):
    """E(x, y) = -cos(x, y), in [-1, 1]: the pair energy of the contrastive methods.

    As a loss it is the prediction term of SimSiam; BYOL's 2 - 2 cos is `Alignment`.
    Collapse attains its minimum, so its value cannot detect collapse.

    Reference: Chen & He, "Exploring simple Siamese representation learning", CVPR 2021,
    arXiv:2011.10566, eq. 1.
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
        LowerBound(-1.0, attained=True),
        UpperBound(1.0, attained=True),
        CollapseValue(-1.0),
        Not(PerViewRotation(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of each pair.

        Raises:
            ValueError: The views are no matrices of one shape.
        """
        checks.embeddings(x, y)
        return -(functional.normalize(x, dim=-1) * functional.normalize(y, dim=-1)).sum(-1)
