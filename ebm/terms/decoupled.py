"""Decoupled contrastive learning: the positive leaves the denominator."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Energies
from ebm.terms import log_sum_exp
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
    Reach,
    Rotation,
    SignFlip,
    StopGradient,
    Trait,
    Translation,
    UpperBound,
    Views,
    ViewSwap,
)


class Decoupled(Energy):
    """NT-Xent without the positive in the sum: one log-sum-exp over 2N - 2 negatives.

        z = [x; y],    l_i = -w s(z_i, z_p(i)) / T + log sum_{k not in {i, p(i)}} exp(s_ik / T)

    and the energy of a pair is (l_i + l_p(i)) / 2, s the cosine; it can be negative. w is 1,
    or for `Decoupled.weighted()` (DCLW) 2 - N softmax_i(s(x_i, y_i) / spread), which has
    mean 1, weighs hard positives more, and carries no gradient. The authors' code takes one
    direction and leaves the normalization to the caller; the value is the same on unit
    vectors, averaged over both directions.

    Reference: Yeh et al., "Decoupled contrastive learning", ECCV 2022, arXiv:2110.06848,
    eqs. 6 and 7.

    Args:
        temperature: Divides every similarity.
        spread: The temperature of the positives' weights, sigma in the paper; None is no
            weight.
    """

    reach = Reach.NEGATIVES

    def __init__(self, *, temperature: float = 0.1, spread: float | None = None) -> None:
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.spread = spread if spread is None else checks.positive("spread", spread)

    @classmethod
    def weighted(cls, *, temperature: float = 0.1, spread: float = 0.5) -> "Decoupled":
        """Return DCLW: hard positives weigh more."""
        return cls(temperature=temperature, spread=spread)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What is true of it; the bounds hold without weights."""
        t = self.temperature

        def least(n: int, d: int) -> float:
            return math.log(2 * n - 2) - n / ((n - 1) * t) if n > 1 else -math.inf

        def most(n: int, d: int) -> float:
            return math.log(2 * n - 2) + 2 / t if n > 1 else math.inf

        bounds = (LowerBound(least, attained=True), UpperBound(most))
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
            CollapseValue(lambda n, d: math.log(2 * n - 2)),
            *(bounds if self.spread is None else (StopGradient(),)),
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
        n, everyone = len(x), len(x) * distributed.world()
        checks.embeddings(x, y, least=2 if everyone < 2 else 1, user="decoupled negatives")
        largest = 1 / self.temperature
        z = unit(torch.cat([x, y]), largest**0.5)
        x, y = z[:n], z[n:]
        positive = (x * y).sum(-1)
        if distributed.world() == 1:
            sums = log_sum_exp.gram(z, largest, (0, n))
            sums = sums[:n] + sums[n:]
        else:
            others = torch.cat([distributed.gather(x), distributed.gather(y)])
            skip = (distributed.rank() * n, distributed.rank() * n + everyone)
            sums = sum(log_sum_exp.products(view, others, skip, largest) for view in (x, y))
        return sums / 2 - self._weights(positive.detach(), everyone) * positive

    def _weights(self, positive: Tensor, everyone: int) -> Tensor | float:
        if self.spread is None:
            return 1.0
        cosines = positive * self.temperature
        total = torch.logsumexp(distributed.gather(cosines) / self.spread, dim=0)
        return 2 - everyone * (cosines / self.spread - total).exp()

    def extra_repr(self) -> str:
        """Return the numbers."""
        spread = "" if self.spread is None else f", spread={self.spread:g}"
        return f"temperature={self.temperature:g}{spread}"
