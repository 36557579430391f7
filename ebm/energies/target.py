"""Targets: energies whose density is known exactly."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy

Numbers = Tensor | Sequence[Any]


class Target(Energy):
    """An energy with exact moments, normalizer and samples, all at temperature 1.

    Its density is exp(-E(x)) / Z.

    Args:
        mean: Mean of the density, (dim,).
        covariance: Covariance of the density, (dim, dim).
        log_normalizer: log Z, the log of the integral of exp(-E).
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, mean: Numbers, covariance: Numbers, log_normalizer: float) -> None:
        super().__init__()
        self.register_buffer("mean", numbers(mean), persistent=False)
        self.register_buffer("covariance", numbers(covariance), persistent=False)
        self.log_normalizer = log_normalizer

    @property
    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.mean)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the exact log density of each point, -E(x) - log Z.

        Raises:
            ValueError: The points have another dimension than the target.
        """
        return -self(self.points(x)) - self.log_normalizer

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return exact, independent samples, (count, dim)."""
        raise NotImplementedError(f"{type(self).__name__} must define sample.")

    def points(self, x: Tensor) -> Tensor:
        """Return x as vectors, refused unless they have the target's dimension."""
        checks.configurations("x", x)
        if x.shape[1:].numel() != self.dim or x.ndim < 2:
            raise ValueError(
                f"x must have shape (batch, {self.dim}), got {tuple(x.shape)}. "
                f"This {type(self).__name__} has {self.dim} dimensions."
            )
        return x.flatten(1)

    def noise(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Return standard normal noise of this shape, on the target's device."""
        like = self.mean
        return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)

    def uniform(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Return uniform noise of this shape in [0, 1), on the target's device."""
        like = self.mean
        return torch.rand(shape, dtype=like.dtype, device=like.device, generator=generator)


def numbers(values: Numbers) -> Tensor:
    """Return the numbers as a floating-point tensor; one that is given keeps its dtype."""
    if isinstance(values, Tensor) and values.is_floating_point():
        return values.detach().clone()
    return torch.as_tensor(values, dtype=torch.get_default_dtype())


def covariance_matrix(value: float | Numbers, dim: int) -> Tensor:
    """Return the covariance in float64; a number stands for that multiple of the identity.

    Raises:
        ValueError: It is no symmetric, positive definite (dim, dim) matrix.
    """
    matrix = torch.as_tensor(value, dtype=torch.float64)
    if matrix.ndim == 0:
        matrix = matrix * torch.eye(dim, dtype=matrix.dtype, device=matrix.device)
    if matrix.shape != (dim, dim):
        raise ValueError(
            f"covariance must have shape ({dim}, {dim}), got {tuple(matrix.shape)}. "
            "Give a matrix, or a number for that multiple of the identity."
        )
    symmetric = torch.allclose(matrix, matrix.mT, rtol=1e-5)
    if not symmetric or torch.linalg.cholesky_ex(matrix).info != 0:
        raise ValueError(
            f"covariance must be symmetric and positive definite, got {matrix.tolist()}. "
            "Add a small multiple of the identity."
        )
    return matrix
