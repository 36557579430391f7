"""Distillation: the student predicts the centered, sharpened output of a teacher."""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.soft_cross_entropy import over_pairs, soft_cross_entropy
from ebm.traits import (
    BatchPermutation,
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
    StopGradient,
    Target,
    Translation,
    UndecidedValue,
    Views,
    ViewSwap,
)


class Distillation(Energy):
    """E(x, y) = -sum_k p_k log softmax_k(x / T_s),    p = softmax((y - center) / T_t).

    x is the student's output, y the teacher's, which gets no gradient. The center, a running
    mean of teacher outputs, keeps one output from winning everywhere; the low temperature
    keeps all from being equal. When all outputs are equal the value is log K.

    Reference: Caron et al., "Emerging properties in self-supervised vision transformers",
    ICCV 2021, arXiv:2104.14294, eqs. 1 to 4.

    Args:
        temperature: Of the student, T_s.
        teacher_temperature: Of the teacher, T_t.
    """

    traits = (
        Views(2),
        BatchPermutation(),
        DimensionPermutation(),
        LowerBound(0.0),
        UndecidedValue(lambda n, d: math.log(d)),
        StopGradient(),
        Target(2),
        Not(ViewSwap(), PAIR),
        Not(Rotation(), PAIR),
        Not(PerViewRotation(), PAIR),
        Not(SignFlip(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PositiveScale(), PAIR),
        Not(PerViewAffine(), PAIR),
        Not(PreventsCollapse(), PAIR),
    )

    def __init__(self, *, temperature: float = 0.1, teacher_temperature: float = 0.04) -> None:
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.teacher_temperature = checks.positive("teacher_temperature", teacher_temperature)

    @full_precision
    def forward(self, x: Tensor, y: Tensor, center: Tensor | None = None) -> Energies:
        """Return the cross-entropy of each student output under its teacher's.

        Raises:
            ValueError: The outputs are no matrices of one shape.
        """
        checks.embeddings(x, y)
        return soft_cross_entropy(x, self.target(y, center), self.temperature)

    def over_views(
        self, students: Sequence[Tensor], teachers: Sequence[Tensor], center: Tensor | None = None
    ) -> Energies:
        """Return the mean over all pairs of a teacher's view and another student's view.

        The teacher's views are the first of the student's, in the same order.

        Raises:
            ValueError: No pair is left, or the shapes differ.
        """
        pairs = len(teachers) * len(students) - min(len(teachers), len(students))
        if pairs == 0:
            raise ValueError(
                f"views must make at least one pair of different ones, got {len(students)} of "
                f"the student and {len(teachers)} of the teacher. Pass two views or more."
            )
        checks.embeddings(*students, *teachers)
        targets = [self.target(y, center) for y in teachers]
        return over_pairs(students, targets, self.temperature) / pairs

    @full_precision
    def target(self, y: Tensor, center: Tensor | None = None) -> Tensor:
        """Return the teacher's distribution, without a gradient."""
        y = y.detach().clone() if center is None else y.detach() - center
        return functional.softmax(y.div_(self.teacher_temperature), dim=-1)

    def extra_repr(self) -> str:
        """Return the temperatures."""
        return f"temperature={self.temperature:g}, teacher_temperature={self.teacher_temperature:g}"
