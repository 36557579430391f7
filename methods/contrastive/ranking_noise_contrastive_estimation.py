"""Ranking noise contrastive estimation.

Find the one example among samples of a noise whose density is known. The softmax over the
candidates cancels log Z, so nothing but the energy is learned, up to a constant.

    L = -log softmax_k(-E(x_k) - log q(x_k))_0,    x_0 the data, x_1..K ~ q

At E = -log q + constant the loss is log(K + 1).

Reference: Ma & Collins, "Noise contrastive estimation and negative sampling for conditional
models: consistency and statistical efficiency", EMNLP 2018, arXiv:1809.01812, eq. 5.
Differs: without a condition; each example has noise samples of its own.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies
from ebm import noise as _noise


class RankingNoiseContrastiveEstimation(Method):
    """E becomes minus the log density of the data, by ranking data above noise.

    Args:
        energy: The energy to train, x -> (batch,).
        noise: Has `sample` and `log_prob`: a torch.distributions distribution, a target
            energy, or your own.
        candidates: Noise samples that each example is ranked against.
    """

    def __init__(
        self, energy: Energy | Callable[[Tensor], Tensor], noise: Any, *, candidates: int = 8
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.noise = _noise.as_noise(noise)
        self.candidates = checks.count("candidates", candidates)

    @classmethod
    def example(cls, data: Tensor, *, candidates: int = 8) -> "RankingNoiseContrastiveEstimation":
        """Return a small instance whose noise is a Gaussian about the data."""
        energy = energies.MLP(data[0].numel())
        return cls(energy, _noise.gaussian_like(data), candidates=candidates)

    def log_ratio(self, x: Tensor) -> Tensor:
        """Return the log ratio of the unnormalized model to the noise, (batch,)."""
        values = checks.one_per_example(self.energy(x), len(x))
        return -values - _noise.log_prob(self.noise, x)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return minus the log probability that the data rank first."""
        negatives = _noise.negatives(self.noise, self.candidates * len(x), x)
        others = self.log_ratio(negatives).view(self.candidates, len(x))
        logits = torch.cat([self.log_ratio(x)[:, None], others.T], dim=1)
        return {"ranking": torch.logsumexp(logits, dim=1) - logits[:, 0]}
