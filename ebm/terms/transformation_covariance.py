"""Transformation covariance: embeddings avoid the directions used already."""

from torch import Tensor
from torch.nn import functional

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Energies, Matrix
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
    PositiveScale,
    PreventsCollapse,
    Reach,
    Rotation,
    SignFlip,
    Translation,
    UpperBound,
    Views,
)


class TransformationCovariance(Energy):
    """E_i = x_i^T C x_i for unit vectors, with C their running second moment.

        C = momentum * previous + (1 - momentum) * X^T X / N

    over the batch of all processes, or C = X^T X / N without a `previous`. The moment is not
    centered: centered, collapse would be the minimum. The gradient flows through the current
    batch's share of C as well.

    Reference: Zhu et al., "TiCo: transformation invariance and covariance contrast for
    self-supervised visual representation learning", 2022, arXiv:2206.10698, eqs. 5 and 6.

    Args:
        momentum: Share of the previous moment, beta in the paper.
    """

    reach = Reach.STATISTICS
    traits = (
        Views(1),
        BatchPermutation(),
        Rotation(),
        SignFlip(),
        DimensionPermutation(),
        PositiveScale(),
        Homogeneous(0.0),
        PreventsCollapse(),
        LowerBound(lambda n, d: 1 / min(n, d), attained=True),
        UpperBound(1.0, attained=True),
        CollapseValue(1.0),
        Not(Translation(), PAIR[:1]),
        Not(PerViewAffine(), PAIR[:1]),
    )

    def __init__(self, *, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = checks.fraction("momentum", momentum)

    @full_precision
    def forward(self, x: Tensor, previous: Tensor | None = None) -> Energies:
        """Return the second moment along each embedding.

        Raises:
            ValueError: The embeddings are no matrix.
        """
        checks.embeddings(x)
        x = functional.normalize(x, dim=-1)
        moment = self.moment(x)
        if previous is not None:
            moment = self.momentum * previous + (1 - self.momentum) * moment
        return ((x @ moment) * x).sum(-1)

    @full_precision
    def moment(self, x: Tensor) -> Matrix:
        """Return the second moment of the unit vectors of all processes: what to average."""
        x = functional.normalize(distributed.gather(x), dim=-1)
        return x.mT @ x / len(x)

    def extra_repr(self) -> str:
        """Return the momentum."""
        return f"momentum={self.momentum:g}"
