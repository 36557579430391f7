"""Instance contrast: which example is this, answered against noise."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Energies, Scalar
from ebm.terms.counterexample import PAIR
from ebm.terms.precision import full_precision
from ebm.terms.unit import SMALLEST, unit
from ebm.traits import (
    BatchPermutation,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    Not,
    PerViewAffine,
    PerViewRotation,
    PerViewTranslation,
    PositiveScale,
    Rotation,
    SignFlip,
    Translation,
    ViewSwap,
)


class InstanceContrast(Energy):
    """E_i = -log h(x_i, m_i) - sum_k log(1 - h(x_i, m_ik)),    h = P / (P + K / N).

        P(x, m) = exp(s(x, m) / T) / Z

    is the probability that x shows the example whose memory is m, among N examples; m_i is
    the own memory, the K others are the negatives. Z is a constant: estimate it once, with
    `log_normalizer`, and keep it. As log h and log(1 - h) it cannot overflow.

    Reference: Wu et al., "Unsupervised feature learning via non-parametric instance
    discrimination", CVPR 2018, arXiv:1805.01978, eqs. 4 to 8.

    Args:
        examples: Number of examples, N.
        temperature: Divides every similarity.
    """

    traits = (
        BatchPermutation(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        PositiveScale(),
        Homogeneous(0.0),
        LowerBound(0.0),
        Not(ViewSwap(), PAIR),
        Not(PerViewRotation(), PAIR),
        Not(Translation(), PAIR),
        Not(PerViewTranslation(), PAIR),
        Not(PerViewAffine(), PAIR),
    )

    def __init__(self, examples: int, *, temperature: float = 0.07) -> None:
        super().__init__()
        self.examples = checks.count("examples", examples)
        self.temperature = checks.positive("temperature", temperature)

    @full_precision
    def forward(
        self, x: Tensor, memories: Tensor, negatives: Tensor, log_normalizer: Tensor
    ) -> Energies:
        """Return the loss of each example.

        Args:
            x: Embeddings, (batch, dim).
            memories: Their own memories, (batch, dim).
            negatives: Other examples' memories, (batch, k, dim).
            log_normalizer: log Z.
        """
        own, others = self._scores(x, memories, negatives)
        shift = log_normalizer + math.log(others.shape[1] / self.examples)
        zero = own.new_zeros(())
        caught = torch.logaddexp(zero, shift - own)
        return caught + torch.logaddexp(zero, others - shift).sum(1)

    @full_precision
    def log_normalizer(self, x: Tensor, memories: Tensor, negatives: Tensor) -> Scalar:
        """Return log(N mean exp(s / T)) over the batch of all processes, without a gradient."""
        with torch.no_grad():
            own, others = self._scores(x, memories, negatives)
            scores = torch.cat([own[:, None], others], dim=1)
            rows = distributed.gather(torch.logsumexp(scores, dim=1))
            count = len(rows) * scores.shape[1]
            return torch.logsumexp(rows, dim=0) + math.log(self.examples / count)

    def _scores(self, x: Tensor, memories: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        checks.embeddings(x, memories)
        x = unit(x, 1 / self.temperature)
        own = (x * unit(memories)).sum(-1)
        norms = torch.linalg.vector_norm(negatives, dim=-1).clamp(min=SMALLEST)
        return own, (negatives @ x.unsqueeze(-1)).squeeze(-1) / norms

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.examples}, temperature={self.temperature:g}"
