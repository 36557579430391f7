"""Minimum probability flow.

Start a dynamics that leaves the model invariant at the data, and make as little probability
as possible flow away from them. For binary data the dynamics flips one unit; the flow to
each neighbor needs a ratio of probabilities alone, hence neither log Z nor sampling.

    L = flow_weight * sum_i exp((E(x) - E(x with unit i flipped)) / 2)

Reference: Sohl-Dickstein, Battaglino & DeWeese, "New method for parameter estimation in
probabilistic models: minimum probability flow", PRL 107, 2011, arXiv:0906.4779, eq. 14.
Differs: the sum runs over all neighbors, those that are data too; with data in every state
there would be no others.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies
from ebm.energies.states import binarized, flip_energies


class MinimumProbabilityFlow(Method):
    """E becomes minus the log probability of binary data, by the flow to its neighbors.

    Args:
        energy: The energy to train, x -> (batch,), x of zeros and ones.
        flow_weight: The paper's epsilon.
    """

    def __init__(
        self, energy: Energy | Callable[[Tensor], Tensor], *, flow_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.flow_weight = checks.positive("flow_weight", flow_weight)

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples as zeros and ones, split at the middle of their range."""
        x, views = super().example_inputs(data)
        return binarized(x), views

    @classmethod
    def example(cls, data: Tensor, *, flow_weight: float = 1.0) -> "MinimumProbabilityFlow":
        """Return a small instance for binary vectors or images."""
        return cls(energies.MLP(data[0].numel()), flow_weight=flow_weight)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the flow from each example to its neighbors."""
        here = checks.one_per_example(self.energy(x), len(x))
        gaps = here[:, None] - flip_energies(self.energy, x)
        return {"flow": self.flow_weight * torch.exp(gaps / 2).sum(-1)}
