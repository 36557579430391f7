"""Sinkhorn's iteration: soft assignments that use every prototype alike."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.shapes import Matrix
from ebm.terms.precision import full_precision

SAFE = 1e25
"""Sums of the kernel's rows and columns up to which, and down to whose inverse, no digit of
them is lost to the range of float32."""


@full_precision
def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Matrix:
    """Return codes, (batch, prototypes): rows sum to 1, columns to about batch / prototypes.

    Q = diag(u) exp(scores / epsilon) diag(v), with v and u found in turn, the prototypes
    first and the examples last, over the batch of all processes, without a gradient. The
    kernel is made once and never copied: the iterations only move u and v. Where its sums
    come near the ends of float32's range, each prototype's largest score is subtracted first, which
    the first normalization undoes exactly, then each example's, which its start u undoes: no
    row or column can underflow.

    Reference: Cuturi, "Sinkhorn distances", NeurIPS 2013; Caron et al., "SwAV", NeurIPS 2020,
    arXiv:2006.09882, eq. 3 and appendix A.

    Args:
        scores: Similarities of the examples to the prototypes.
        epsilon: Temperature of the codes; large ones are uniform.
        iterations: Normalizations of both sides.
    """
    checks.embeddings(scores)
    checks.positive("epsilon", epsilon)
    with torch.no_grad():
        kernel, sums = _start(scores.detach(), epsilon)
        rows = distributed.total(kernel.new_tensor(float(len(kernel))))
        share = rows / kernel.shape[1]
        prototypes = share / distributed.total(sums)
        examples = 1 / (kernel @ prototypes)
        for _ in range(checks.count("iterations", iterations) - 1):
            prototypes = share / distributed.total(kernel.mT @ examples)
            examples = 1 / (kernel @ prototypes)
        return kernel.mul_(prototypes).mul_(examples[:, None])


def _start(scores: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return the kernel, and the sum over the examples of exp(scores / epsilon), up to scales."""
    if scores.device.type == "cpu" and distributed.world() == 1:  # else the host would wait
        kernel = (scores * (math.log2(math.e) / epsilon)).exp2_()
        sums = kernel.sum(0)
        low, high = torch.cat([sums, kernel.sum(1)]).aminmax()
        if float(low) > 1 / SAFE and float(high) < SAFE:
            return kernel, sums
    kernel = scores - distributed.largest(scores.amax(dim=0))
    nearest = kernel.amax(dim=1)
    kernel.sub_(nearest[:, None]).div_(epsilon).exp_()
    return kernel, kernel.mT @ (nearest / epsilon).exp()
