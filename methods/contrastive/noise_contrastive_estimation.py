"""Noise contrastive estimation.

Tell data from noise whose density is known, by the energy alone: the classifier that does
it best is the log ratio of the two densities, so the energy becomes the data's, normalizer
included. No sampling from the model. The noise must cover the data, and helps most where it
resembles them.

    G(x) = -E(x) - log Z - log q(x)
    L = softplus(log k - G(x)) + k * mean softplus(G(x') - log k),    x'_1..k ~ q

log Z is learned with the energy; at the optimum exp(-E) / Z is the data's density. At
E + log Z = -log q and k = 1 the loss is 2 log 2.

Reference: Gutmann & Hyvarinen, "Noise-contrastive estimation of unnormalized statistical
models", JMLR 13, 2012, eq. 8-10.
Differs: in nothing.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ebm import Energy, Method, as_energy, checks, energies
from ebm import noise as _noise


class NoiseContrastiveEstimation(Method):
    """E + log Z becomes minus the log density of the data, by contrast with noise.

    Args:
        energy: The energy to train, x -> (batch,).
        noise: Has `sample` and `log_prob`: a torch.distributions distribution, a target
            energy, or your own.
        ratio: Noise samples for each example.
    """

    def __init__(
        self, energy: Energy | Callable[[Tensor], Tensor], noise: Any, *, ratio: int = 1
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.noise = _noise.as_noise(noise)
        self.ratio = checks.count("ratio", ratio)
        self.log_normalizer = nn.Parameter(torch.zeros(()))

    @classmethod
    def example(cls, data: Tensor, *, ratio: int = 4) -> "NoiseContrastiveEstimation":
        """Return a small instance whose noise is a Gaussian about the data."""
        return cls(energies.MLP(data[0].numel()), _noise.gaussian_like(data), ratio=ratio)

    def log_ratio(self, x: Tensor) -> Tensor:
        """Return G(x), the log ratio of the model's density to the noise's, (batch,)."""
        values = checks.one_per_example(self.energy(x), len(x))
        return -values - self.log_normalizer - _noise.log_prob(self.noise, x)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the loss of calling data data, and that of calling noise noise."""
        negatives = _noise.negatives(self.noise, self.ratio * len(x), x)
        k = math.log(self.ratio)
        data = softplus(k - self.log_ratio(x))
        noise = self.ratio * softplus(self.log_ratio(negatives) - k)
        return {"data": data, "noise": noise}
