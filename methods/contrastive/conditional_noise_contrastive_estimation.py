"""Conditional noise contrastive estimation.

Make the noise from the data: move each example a little and learn which of the two came
first. Because the move is as likely in one direction as in the other, neither the noise's
density nor log Z is needed. Small moves teach the score, as in score matching, large ones
the relative mass of far regions.

    G = E(x') - E(x),    x' = x + sigma * noise
    L = 2 softplus(-G)

A constant energy gives 2 log 2.

Reference: Ceylan & Gutmann, "Conditional noise-contrastive estimation of unnormalised
models", ICML 2018, arXiv:1806.03664, eq. 11-13.
Differs: the conditional noise is Gaussian and symmetric, so its densities cancel.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ebm import Energy, Method, as_energy, checks, energies


class ConditionalNoiseContrastiveEstimation(Method):
    """E becomes minus the log density of the data, by contrast with moved data.

    Args:
        energy: The energy to train, x -> (batch,).
        sigma: Standard deviation of the move, in units of the data.
        ratio: Moved copies of each example.
    """

    def __init__(
        self, energy: Energy | Callable[[Tensor], Tensor], *, sigma: float, ratio: int = 1
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.sigma = checks.positive("sigma", sigma)
        self.ratio = checks.count("ratio", ratio)

    @classmethod
    def example(cls, data: Tensor, *, ratio: int = 8) -> "ConditionalNoiseContrastiveEstimation":
        """Return a small instance whose moves are half as wide as the data."""
        sigma = max(float(data.std()) / 2, 1e-3)
        return cls(energies.MLP(data[0].numel()), sigma=sigma, ratio=ratio)

    def terms(self, x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Return the loss of telling data from moved data.

        The noise is standard normal and drawn if None, (ratio * batch, *shape).
        """
        checks.configurations("x", x)
        copies = x.repeat(self.ratio, *[1] * (x.ndim - 1))
        noise = torch.randn_like(copies) if noise is None else noise
        moved = checks.one_per_example(self.energy(copies + self.sigma * noise), len(copies))
        data = checks.one_per_example(self.energy(x), len(x))
        return {"contrast": 2 * softplus(data - moved.view(self.ratio, len(x))).mean(0)}
