"""Exact score matching.

Make the data sit where the score vanishes and the energy curves up: integration by parts
turns the distance between the model's score and the data's, which is unknown, into a form
that needs the model alone. No negatives and no log Z; the second derivatives cost one
gradient for each dimension. Blind to the relative mass of modes far apart.

    L = 1/2 |s(x)|^2 + div s(x),    s = -dE/dx

Reference: Hyvarinen, "Estimation of non-normalized statistical models by score matching",
JMLR 6, 2005, eq. 4.
Differs: the score is the gradient of an energy.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies, score


class ScoreMatching(Method):
    """E becomes minus the log density of the data, by its first and second derivatives.

    Args:
        energy: The energy to train, x -> (batch,), twice differentiable: smooth
            activations, since a ReLU has no second derivative to learn from.
    """

    def __init__(self, energy: Energy | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.energy = as_energy(energy)

    @classmethod
    def example(cls, data: Tensor) -> "ScoreMatching":
        """Return a small instance for points or small images."""
        return cls(energies.MLP(data[0].numel()))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return half the squared score, and its divergence, not divided by the dimension."""
        x = checks.configurations("x", x).detach().requires_grad_()
        s = score(self.energy, x, create_graph=True).flatten(1)
        divergence = torch.zeros_like(s[:, 0])
        for i in range(s.shape[1]):
            (row,) = torch.autograd.grad(
                s[:, i].sum(), x, create_graph=True, materialize_grads=True
            )
            divergence = divergence + row.flatten(1)[:, i]
        return {"score": s.square().sum(-1) / 2, "divergence": divergence}
