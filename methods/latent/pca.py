"""Principal component analysis.

The latent is a point of a linear subspace: the energy is the squared distance to it, low
along a few directions and steep along all others. The subspace of lowest mean energy is
spanned by the leading eigenvectors of the covariance, so one pass over the data suffices.

    E(x, z) = |x - mean - W z|^2, W^T W = I        z = W^T (x - mean)
    F(x) = |(I - W W^T) (x - mean)|^2              L = mean F = sum of discarded eigenvalues

Reference: Pearson, "On lines and planes of closest fit to systems of points in space",
Philosophical Magazine 2(11), 1901.
Differs: in nothing; variances are divided by n, not n - 1.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebm import Method, checks
from ebm.latent.moments import moments
from ebm.memory import late_buffer
from ebm.shapes import Codes, Energies


class PCA(Method):
    """A subspace, and the squared distance to it.

    It has no trainable parameters: `fit` needs one pass over the data, and makes a second
    one to see that it changes nothing.

    Args:
        components: Dimensions of the subspace.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.components = checks.count("components", components)
        for name in ("mean", "axes", "variances"):
            late_buffer(self, name)

    @classmethod
    def example(cls, data: Tensor, *, components: int | None = None) -> "PCA":
        """Return a small instance for data of any shape."""
        if components is None:
            components = max(1, min(16, data[0].numel() // 2))
        return cls(components)

    def encode(self, x: Tensor) -> Codes:
        """Return the coordinates in the subspace."""
        return self._centered(x) @ self.axes.T

    def decode(self, z: Codes) -> Tensor:
        """Return the points of the subspace, flat: (batch, dim)."""
        return self.mean + z @ self.axes

    def energy(self, x: Tensor) -> Energies:
        """Return the squared distance to the subspace."""
        centered = self._centered(x)
        return (centered - centered @ self.axes.T @ self.axes).square().sum(-1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data."""
        return {"reconstruction": self.energy(x)}

    @torch.no_grad()
    def sweep(self, batches: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """Find the subspace in one pass; return the mean energy, the variance outside it."""
        x = next(iter(batches))[0]
        mean, covariance = moments(batches)
        if self.components > len(mean):
            raise ValueError(
                f"components must be at most the dimensions of the data, {len(mean)}, got "
                f"components={self.components}. Ask for fewer."
            )
        values, vectors = torch.linalg.eigh(covariance)
        values, axes = values.clamp(min=0).flip(0), vectors.T.flip(0)[: self.components]
        # The sign is free: the largest entry of an axis is positive, on every machine.
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        self.mean, self.axes = mean.to(x.dtype), (axes * largest.sign()).to(x.dtype)
        self.variances = values[: self.components].to(x.dtype)
        return {"reconstruction": values[self.components :].sum()}

    def _centered(self, x: Tensor) -> Tensor:
        if self.mean.numel() == 0:
            raise ValueError(
                "axes must come from data first, got none. Call ebm.fit(method, data)."
            )
        rows = x.flatten(1)
        checks.features(rows, len(self.mean), self.mean)
        return rows - self.mean
