"""Sliced score matching.

Score matching along random directions: the trace of second derivatives becomes one product
of the second derivatives with a direction, at the cost of one more gradient whatever the
dimension. The variance-reduced form takes the squared score exactly.

    L = 1/2 (v . s)^2 + v . d(v . s)/dx      or      1/2 |s|^2 + v . d(v . s)/dx
    v a random direction with E[v v^T] = I,    s = -dE/dx

Reference: Song, Garg, Shi & Ermon, "Sliced score matching: a scalable approach to density
and score estimation", UAI 2019, arXiv:1905.07088, eq. 8 (variance-reduced: eq. 9).
Differs: v has signs for entries (Rademacher), and the variance-reduced form is the default.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies, score


class SlicedScoreMatching(Method):
    """E becomes minus the log density of the data, by derivatives along random directions.

    Args:
        energy: The energy to train, x -> (batch,), twice differentiable.
        slices: Directions for each example.
        variance_reduced: Take the squared score itself, not its slice.
    """

    def __init__(
        self,
        energy: Energy | Callable[[Tensor], Tensor],
        *,
        slices: int = 1,
        variance_reduced: bool = True,
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.slices = checks.count("slices", slices)
        self.variance_reduced = variance_reduced

    @classmethod
    def example(
        cls, data: Tensor, *, slices: int = 1, variance_reduced: bool = True
    ) -> "SlicedScoreMatching":
        """Return a small instance for points or images."""
        net = energies.MLP(data[0].numel())
        return cls(net, slices=slices, variance_reduced=variance_reduced)

    def terms(self, x: Tensor, directions: Tensor | None = None) -> dict[str, Tensor]:
        """Return half the squared score, and the divergence seen along the directions.

        The directions are random signs and drawn if None, (slices, batch, *shape).
        """
        x = checks.configurations("x", x).detach().requires_grad_()
        s = score(self.energy, x, create_graph=True)
        if directions is None:
            signs = torch.randint(2, (self.slices, *x.shape), device=x.device)
            directions = 2 * signs.to(x.dtype) - 1
        along, divergence = [], []
        for v in directions:
            slope = (v * s).flatten(1).sum(-1)
            (row,) = torch.autograd.grad(slope.sum(), x, create_graph=True, materialize_grads=True)
            along.append(slope.square() / 2)
            divergence.append((v * row).flatten(1).sum(-1))
        squared = s.square().flatten(1).sum(-1) / 2
        if not self.variance_reduced:
            squared = torch.stack(along).mean(0)
        return {"score": squared, "divergence": torch.stack(divergence).mean(0)}
