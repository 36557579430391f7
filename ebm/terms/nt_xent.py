"""NT-Xent: every view of every example against all others."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms import log_sum_exp, one_matrix
from ebm.terms.counterexample import PAIR
from ebm.terms.info_nce import highest, lowest
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
    Reach,
    Rotation,
    SignFlip,
    Trait,
    Translation,
    UpperBound,
    Views,
    ViewSwap,
)

SMALL = 128
"""Pairs up to which the plain formula is used."""


class NTXent(Energy):
    """The normalized, temperature-scaled cross-entropy of SimCLR over 2N - 1 logits.

        z = [x; y],    l_i = -s(z_i, z_p(i)) / T + log sum_{k != i} exp(s(z_i, z_k) / T)

    and the energy of a pair is (l_i + l_p(i)) / 2, s the cosine: the mean is the paper's
    loss. The authors' code adds the two directions instead of averaging them:
    `NTXent.official()`. Negatives come from all processes; large batches never hold the
    2N x 2N matrix, and visit its upper half alone.

    Reference: Chen, Kornblith, Norouzi & Hinton, "A simple framework for contrastive
    learning of visual representations", ICML 2020, arXiv:2002.05709, eq. 1.

    Args:
        temperature: Divides every similarity.
    """

    reach = Reach.NEGATIVES

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)

    @classmethod
    def official(cls, *, temperature: float = 0.1) -> Energy:
        """Return the convention of the authors' code: the sum of both directions."""
        return 2 * cls(temperature=temperature)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of it."""
        t = self.temperature
        return (
            Views(2),
            BatchPermutation(),
            ViewSwap(),
            Rotation(),
            SignFlip(),
            DimensionPermutation(),
            PositiveScale(),
            Homogeneous(0.0),
            PreventsCollapse(),
            LowerBound(lambda n, d: lowest(n, 2 * n - 2, t), attained=True),
            UpperBound(lambda n, d: highest(2 * n - 2, t)),
            CollapseValue(lambda n, d: math.log(2 * n - 1)),
            Not(PerViewRotation(), PAIR),
            Not(Translation(), PAIR),
            Not(PerViewTranslation(), PAIR),
            Not(PerViewAffine(), PAIR),
        )

    @full_precision
    def forward(self, x: Tensor, y: Tensor) -> Energies:
        """Return the loss of each pair.

        Raises:
            ValueError: The views are no matrices of one shape, or the batch of all processes
                holds fewer than 2 pairs.
        """
        alone = len(x) * distributed.world() < 2
        checks.embeddings(x, y, least=2 if alone else 1, user="negatives of the batch")
        n, largest = len(x), 1 / self.temperature
        if n <= SMALL and distributed.world() == 1:
            return one_matrix.gram(x, y, largest)
        z = unit(torch.cat([x, y]), largest**0.5)
        x, y = z[:n], z[n:]
        positive = (x * y).sum(-1)
        if distributed.world() == 1:
            values = log_sum_exp.gram(z, largest)
            return (values[:n] + values[n:]) / 2 - positive
        everyone = torch.cat([distributed.gather(x), distributed.gather(y)])
        own = distributed.rank() * n
        of_x = log_sum_exp.products(x, everyone, (own,), largest)
        of_y = log_sum_exp.products(y, everyone, (own + len(everyone) // 2,), largest)
        return (of_x + of_y) / 2 - positive

    def extra_repr(self) -> str:
        """Return the temperature."""
        return f"temperature={self.temperature:g}"
