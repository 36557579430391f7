"""Triplet: the positive is nearer than the negative, by a margin."""

from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import TRIPLE
from ebm.terms.precision import full_precision
from ebm.traits import (
    BatchPermutation,
    CollapseValue,
    DimensionPermutation,
    LowerBound,
    Not,
    PerViewAffine,
    PerViewRotation,
    PerViewTranslation,
    PositiveScale,
    PreventsCollapse,
    Rotation,
    SignFlip,
    Trait,
    Translation,
    Views,
)


class Triplet(Energy):
    """E(x, y, n) = relu(|x - y| - |x - n| + margin), the distances not squared.

    0 where the negative n is farther than the positive y by the margin. The paper's equation
    has the squares of the distances: `Triplet.paper()`.

    Reference: Schroff, Kalenichenko & Philbin, "FaceNet", CVPR 2015, arXiv:1503.03832, eq. 3.

    Args:
        margin: How much farther the negative has to be.
        power: Of the distances.
    """

    def __init__(self, *, margin: float = 1.0, power: float = 1.0) -> None:
        super().__init__()
        self.margin = checks.positive("margin", margin)
        self.power = checks.positive("power", power)

    @classmethod
    def paper(cls, *, margin: float = 0.2) -> "Triplet":
        """Return the equation of the paper: squared distances, for unit embeddings."""
        return cls(margin=margin, power=2.0)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of it."""
        return (
            Views(3),
            BatchPermutation(),
            Rotation(),
            SignFlip(),
            DimensionPermutation(),
            Translation(),
            LowerBound(0.0, attained=True),
            CollapseValue(self.margin),
            Not(PerViewRotation(), TRIPLE),
            Not(PerViewTranslation(), TRIPLE),
            Not(PositiveScale(), TRIPLE),
            Not(PerViewAffine(), TRIPLE),
            PreventsCollapse(),
        )

    @full_precision
    def forward(self, x: Tensor, y: Tensor, negatives: Tensor) -> Energies:
        """Return the hinge of each triplet.

        Raises:
            ValueError: The three are no matrices of one shape.
        """
        checks.embeddings(x, y, negatives)
        near, far = (x - y).norm(dim=-1), (x - negatives).norm(dim=-1)
        return (near**self.power - far**self.power + self.margin).relu()

    def extra_repr(self) -> str:
        """Return the margin and the power."""
        return f"margin={self.margin:g}, power={self.power:g}"
