"""Sinkhorn's iteration: soft assignments that use every prototype alike."""

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.shapes import Matrix
from ebm.terms.log_sum_exp import SAFE
from ebm.terms.precision import full_precision


@full_precision
def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Matrix:
    """Return codes, (batch, prototypes): rows sum to 1, columns to about batch / prototypes.

    Q = diag(u) exp(scores / epsilon) diag(v), with v and u found in turn, the prototypes
    first and the examples last, over the batch of all processes, without a gradient. The
    kernel is made once and never copied: the iterations only move u and v. Where its entries
    could leave the range of float32, each prototype's largest score is subtracted first, which
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
        kernel, examples = _start(scores.detach(), epsilon)
        rows = distributed.total(kernel.new_tensor(float(len(kernel))))
        share = rows / kernel.shape[1]
        prototypes = kernel.new_ones(kernel.shape[1])
        for _ in range(checks.count("iterations", iterations)):
            prototypes = share / distributed.total(kernel.mT @ examples)
            examples = 1 / (kernel @ prototypes)
        return kernel.mul_(prototypes).mul_(examples[:, None])


def _start(scores: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return the kernel, and the examples' scales that make it exp(scores / epsilon) again."""
    if scores.device.type == "cpu" and distributed.world() == 1:  # else the host would wait
        low, high = scores.aminmax()
        if float(torch.maximum(-low, high)) <= SAFE * epsilon:
            return (scores * (1 / epsilon)).exp_(), scores.new_ones(len(scores))
    kernel = scores - distributed.largest(scores.amax(dim=0))
    nearest = kernel.amax(dim=1)
    kernel.sub_(nearest[:, None]).div_(epsilon).exp_()
    return kernel, (nearest / epsilon).exp()
