"""Swapped prediction: each view predicts the other's assignment to prototypes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Energies, Matrix
from ebm.terms.counterexample import AGREED, PAIR
from ebm.terms.precision import full_precision
from ebm.terms.sinkhorn import sinkhorn
from ebm.terms.soft_cross_entropy import over_pairs
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
    Reach,
    Rotation,
    SignFlip,
    StopGradient,
    Translation,
    UndecidedValue,
    Views,
    ViewSwap,
)


class SwappedPrediction(Energy):
    """E = mean over assigning views t of mean_{s != t} -sum_k q_tk log softmax_k(s / T).

    The inputs are scores, (batch, prototypes): cosines of the embeddings to the prototypes.
    The first `assigning` views give codes q = sinkhorn(scores); every view predicts the codes
    of the others. Codes carry no gradient and are those of the batch of all processes. When
    all scores are equal the value is log K.

    Reference: Caron et al., "Unsupervised learning of visual features by contrasting cluster
    assignments", NeurIPS 2020, arXiv:2006.09882, eqs. 2 and 6.

    Args:
        temperature: Divides the scores in the prediction.
        epsilon: Temperature of the codes.
        iterations: Sinkhorn iterations.
        assigning: How many of the first views give codes.
    """

    reach = Reach.STATISTICS
    traits = (
        Views(2),
        BatchPermutation(),
        ViewSwap(),
        DimensionPermutation(),
        LowerBound(0.0),
        UndecidedValue(lambda n, d: math.log(d)),
        Not(PreventsCollapse(), AGREED),
        StopGradient(),
        Not(Rotation(), PAIR),
        Not(PerViewRotation(), PAIR),
        Not(SignFlip(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PositiveScale(), PAIR),
        Not(PerViewAffine(), PAIR),
    )

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        assigning: int = 2,
    ) -> None:
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.epsilon = checks.positive("epsilon", epsilon)
        self.iterations = checks.count("iterations", iterations)
        self.assigning = checks.count("assigning", assigning)

    @full_precision
    def forward(self, x: Tensor, *others: Tensor) -> Energies:
        """Return the loss of each example from the scores of its views.

        Raises:
            ValueError: The scores are no matrices of one shape, or there is one view alone.
        """
        scores = (x, *others)
        codes = [self.codes(view) for view in scores[: self.assigning]]
        return self.predicted(scores, codes)

    @full_precision
    def codes(self, scores: Tensor, earlier: Tensor | None = None) -> Matrix:
        """Return the codes of these scores, balanced together with those of earlier ones."""
        if earlier is None:
            return sinkhorn(scores, epsilon=self.epsilon, iterations=self.iterations)
        both = torch.cat([earlier, scores])
        codes = sinkhorn(both, epsilon=self.epsilon, iterations=self.iterations)
        return codes[len(earlier) :]

    def predicted(self, scores: Sequence[Tensor], codes: Sequence[Tensor]) -> Energies:
        """Return the loss of each example when the first views have these codes.

        Raises:
            ValueError: There is one view alone, or the shapes differ.
        """
        if len(scores) < 2:
            raise ValueError(
                "views must be at least 2 for SwappedPrediction, got 1. Pass both views' scores."
            )
        checks.embeddings(*scores, *codes)
        value = over_pairs(scores, codes, self.temperature)
        return value / (len(codes) * (len(scores) - 1))

    def extra_repr(self) -> str:
        """Return the numbers."""
        return (
            f"temperature={self.temperature:g}, epsilon={self.epsilon:g}, "
            f"iterations={self.iterations}, assigning={self.assigning}"
        )
