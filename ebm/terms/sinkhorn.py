"""Sinkhorn's iteration: soft assignments that use every prototype alike."""

import math

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.shapes import Matrix
from ebm.terms.precision import full_precision

SAFE = 1e25
"""Sums of the kernel's columns up to which, and sums of its rows and columns down to whose inverse,
no digit of them is lost to the range of float32."""


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
    checks.count("iterations", iterations)
    with torch.no_grad():
        scores = scores.detach()
        share = distributed.total(scores.new_tensor(float(len(scores)))) / scores.shape[1]
        kernel, prototypes, sums = _start(scores, epsilon, share)
        for number in range(iterations - 1):
            if number > 0:
                sums = _along(kernel, prototypes)
            prototypes = share / distributed.total(_across(kernel, sums.reciprocal_()))
        kernel.mul_(prototypes)
        return kernel.mul_(kernel.sum(1, keepdim=True).reciprocal_())


def _start(scores: Tensor, epsilon: float, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the kernel up to scales, its first v, and K v.

    Args:
        scores: Similarities of the examples to the prototypes.
        epsilon: Temperature of the codes.
        share: What each prototype's column sums to.
    """
    if scores.device.type == "cpu" and distributed.world() == 1:  # else the host would wait
        kernel = (scores * (math.log2(math.e) / epsilon)).exp2_()
        columns = kernel.sum(0)
        prototypes = share / columns
        rows = _along(kernel, prototypes)
        low, high = map(float, columns.aminmax())
        # No row has entries less than K v over the largest v, in all.
        if low > 1 / SAFE and high < SAFE and float(rows.amin() / share) * low > 1 / SAFE:
            return kernel, prototypes, rows
    kernel = scores - distributed.largest(scores.amax(dim=0))
    nearest = kernel.amax(dim=1)
    kernel.sub_(nearest[:, None]).div_(epsilon).exp_()
    prototypes = share / distributed.total(_across(kernel, (nearest / epsilon).exp()))
    return kernel, prototypes, _along(kernel, prototypes)


def _along(kernel: Tensor, prototypes: Tensor) -> Tensor:
    """Return K v."""
    parts = _parts(kernel)
    return (prototypes.expand(len(parts), 1, -1) @ parts.mT).flatten()


def _across(kernel: Tensor, examples: Tensor) -> Tensor:
    """Return K^T u."""
    parts = _parts(kernel)
    return (examples.view(len(parts), 1, -1) @ parts).sum((0, 1))


def _parts(kernel: Tensor) -> Tensor:
    """Return the rows in a part for each thread: a matrix meets a vector in one thread alone."""
    threads = torch.get_num_threads() if kernel.device.type == "cpu" else 1
    return kernel.unflatten(0, (math.gcd(len(kernel), threads), -1))
