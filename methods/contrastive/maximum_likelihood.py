"""Exact maximum likelihood.

Push down on the data and up everywhere else: where the space can be covered by a grid or
enumerated, log Z is a sum and nothing needs to be sampled. It is the oracle by which the
other methods are judged, and no method for more than two dimensions or twenty units.

    L = E(x) + log Z,    log Z = log sum_i volume * exp(-E(x_i))
    dL = mean over data of dE - mean under the model of dE

Reference: the definition; the gradient is eq. 3 of Hinton, "Training products of experts by
minimizing contrastive divergence", Neural Computation 14(8), 2002.
Differs: in nothing; a grid truncates the space to its bounds.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies
from ebm.energies.states import binary_states
from ebm.evaluation import cells


class MaximumLikelihood(Method):
    """E goes down on data and up on every point of the support, by its probability.

    Args:
        energy: The energy to train, x -> (batch,).
        support: All states, or the centers of a grid's cells: `evaluation.cells(bounds,
            resolution)` gives them with their volume.
        volume: The volume that each point of the support stands for.
    """

    support: Tensor

    def __init__(
        self,
        energy: Energy | Callable[[Tensor], Tensor],
        support: Tensor,
        *,
        volume: float = 1.0,
    ) -> None:
        super().__init__()
        checks.own_reach(energy, "a density")
        self.energy = as_energy(energy)
        self.log_volume = math.log(checks.positive("volume", volume))
        self.register_buffer(
            "support", checks.configurations("support", support).clone(), persistent=False
        )

    @classmethod
    def example(cls, data: Tensor, *, resolution: int = 64) -> "MaximumLikelihood":
        """Return a small instance for binary vectors, or for points on a line or a plane."""
        dim = data[0].numel()
        if dim > 2:
            return cls(energies.MLP(dim), binary_states(dim).view(-1, *data.shape[1:]))
        low, high = data.amin(0), data.amax(0)
        margin = 0.25 * (high - low)
        bounds = list(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))
        points, volume = cells(bounds, resolution)
        return cls(energies.MLP(dim), points, volume=volume)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data and log Z: their sum is the negative log likelihood."""
        checks.one_per_example(data := self.energy(x), len(x))
        everywhere = checks.one_per_example(self.energy(self.support), len(self.support))
        log_normalizer = torch.logsumexp(-everywhere, 0) + self.log_volume
        return {"data": data, "log_normalizer": log_normalizer}
