"""Gaussian components: how a covariance is parametrized, and one step of EM.

A covariance rule is a frozen object. `Full`, `Diagonal` and `Spherical` differ in what they
keep of the second moments: a matrix, the variances, or their mean.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.latent.moments import wide
from ebm.shapes import Points, Scalar

VALUES = 2**17


@dataclass(frozen=True)
class Covariance:
    """What is kept of a component's second moments.

    Subclasses say how offsets x - mean, (components, rows, dim), become `second` moments and
    `whitened` offsets, whose squared length is the Mahalanobis distance.
    """

    def second(self, offsets: Tensor, weighted: Tensor) -> Tensor:
        """Return the sum over rows of weighted offsets times offsets, what is kept of it."""
        raise NotImplementedError

    def outer(self, shift: Tensor) -> Tensor:
        """Return what is kept of shift shift^T, (components, dim) each."""
        return self.second(shift[:, None], shift[:, None])

    def restricted(self, covariance: Tensor) -> Tensor:
        """Return what is kept of full matrices, (components, dim, dim)."""
        raise NotImplementedError

    def floored(self, covariances: Tensor, floor: float) -> Tensor:
        """Return the covariances with the floor added to each variance."""
        return covariances + floor

    def whitening(self, covariances: Tensor) -> Tensor:
        """Return what brings offsets to unit covariance: C^-1/2, or its Cholesky factor."""
        raise NotImplementedError

    def whitened(self, offsets: Tensor, whitening: Tensor) -> Tensor:
        """Return offsets in units of standard deviations."""
        raise NotImplementedError

    def log_determinant(self, whitening: Tensor, dim: int) -> Tensor:
        """Return log det of each covariance, (components,)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Full(Covariance):
    """A matrix for each component, (components, dim, dim)."""

    def second(self, offsets: Tensor, weighted: Tensor) -> Tensor:
        """Return the matrices."""
        return weighted.mT @ offsets

    def restricted(self, covariance: Tensor) -> Tensor:
        """Return the matrices as they are."""
        return covariance

    def floored(self, covariances: Tensor, floor: float) -> Tensor:
        """Return the matrices with the floor on their diagonals."""
        return covariances + floor * torch.eye(
            covariances.shape[-1], dtype=covariances.dtype, device=covariances.device
        )

    def whitening(self, covariances: Tensor) -> Tensor:
        """Return the inverses of the Cholesky factors."""
        factor = torch.linalg.cholesky(covariances)
        unit = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        return torch.linalg.solve_triangular(factor, unit, upper=False)

    def whitened(self, offsets: Tensor, whitening: Tensor) -> Tensor:
        """Return L^-1 (x - mean)."""
        return offsets @ whitening.mT

    def log_determinant(self, whitening: Tensor, dim: int) -> Tensor:
        """Return the log determinants."""
        return -2 * whitening.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@dataclass(frozen=True)
class Diagonal(Covariance):
    """Variances along the axes for each component, (components, dim)."""

    def second(self, offsets: Tensor, weighted: Tensor) -> Tensor:
        """Return the sums of squares."""
        return (weighted * offsets).sum(1)

    def restricted(self, covariance: Tensor) -> Tensor:
        """Return the diagonals."""
        return covariance.diagonal(dim1=-2, dim2=-1)

    def whitening(self, covariances: Tensor) -> Tensor:
        """Return one over the standard deviations."""
        return covariances.rsqrt()

    def whitened(self, offsets: Tensor, whitening: Tensor) -> Tensor:
        """Return offsets divided by the standard deviations."""
        return offsets * whitening[:, None]

    def log_determinant(self, whitening: Tensor, dim: int) -> Tensor:
        """Return the log determinants."""
        return -2 * whitening.log().sum(-1)


@dataclass(frozen=True)
class Spherical(Covariance):
    """One variance for each component, (components,)."""

    def second(self, offsets: Tensor, weighted: Tensor) -> Tensor:
        """Return the mean over the axes of the sums of squares."""
        return (weighted * offsets).sum(1).mean(-1)

    def restricted(self, covariance: Tensor) -> Tensor:
        """Return the mean variances."""
        return covariance.diagonal(dim1=-2, dim2=-1).mean(-1)

    def whitening(self, covariances: Tensor) -> Tensor:
        """Return one over the standard deviation."""
        return covariances.rsqrt()

    def whitened(self, offsets: Tensor, whitening: Tensor) -> Tensor:
        """Return offsets divided by the standard deviation."""
        return offsets * whitening[:, None, None]

    def log_determinant(self, whitening: Tensor, dim: int) -> Tensor:
        """Return the log determinants."""
        return -2 * dim * whitening.log()


@dataclass(frozen=True)
class Mixture:
    """Weights, (components,), means, (components, dim), and covariances as the rule has them."""

    weights: Tensor
    means: Tensor
    covariances: Tensor
    rule: Covariance

    @cached_property
    def whitening(self) -> Tensor:
        """What the rule needs to whiten offsets, computed once."""
        return self.rule.whitening(self.covariances)

    @cached_property
    def constant(self) -> Tensor:
        """The constant log det(2 pi C) / 2 - log weight of each component, (components,)."""
        dim = self.means.shape[1]
        determinant = self.rule.log_determinant(self.whitening, dim)
        return (dim * math.log(2 * math.pi) + determinant) / 2 - self.weights.log()

    def energies(self, x: Points) -> Tensor:
        """Return -log(weight_k N(x; mean_k, covariance_k)), (batch, components)."""
        checks.features(x, self.means.shape[1], self.means)
        return torch.stack([self._energy(x, k) for k in range(len(self.means))], -1)

    def _energy(self, x: Points, k: int) -> Tensor:
        # One component at a time: its offsets stay in a processor's cache.
        whitened = self.rule.whitened((x - self.means[k])[None], self.whitening[k : k + 1])
        return whitened[0].square().sum(-1) / 2 + self.constant[k]


def em_step(
    batches: Iterable[tuple[Tensor, ...]], mixture: Mixture, floor: float
) -> tuple[Mixture, Scalar]:
    """Return the mixture after one step of EM, and the mean energy before it.

    Without a floor the mean energy never rises; with one it may, by about the floor over the
    smallest variance. Sums are taken about the means that came in, in double precision.
    """
    rule, means = mixture.rule, mixture.means
    dtype = wide(means)
    first = torch.zeros_like(means, dtype=dtype)
    second = torch.zeros_like(mixture.covariances, dtype=dtype)
    counts, energy = first.new_zeros(len(means)), first.new_zeros(())
    rows = max(1, VALUES // means.shape[1])
    for x, *_ in batches:
        for part in x.flatten(1).split(rows):
            scores = -mixture.energies(part)
            total = scores.logsumexp(-1, keepdim=True)
            share = (scores - total).exp_().T.contiguous()
            counts += share.sum(1, dtype=dtype)
            energy -= total.sum(dtype=dtype)
            for k, mean in enumerate(means):
                offsets = part - mean
                weighted = offsets * share[k, :, None]
                first[k] += weighted.sum(0)
                second[k] += rule.second(offsets[None], weighted[None])[0]
    first, second, counts, energy = (
        distributed.total(value) for value in (first, second, counts, energy)
    )
    counts = counts.clamp(min=torch.finfo(dtype).tiny)
    shift = first / counts[:, None]
    second = second / counts.view(-1, *[1] * (second.ndim - 1)) - rule.outer(shift)
    updated = Mixture(
        (counts / counts.sum()).to(means.dtype),
        (means + shift).to(means.dtype),
        rule.floored(second, floor).to(means.dtype),
        rule,
    )
    return updated, energy / counts.sum()
