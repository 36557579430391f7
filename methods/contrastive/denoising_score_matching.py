"""Denoising score matching.

Add noise to the data and learn the direction back. The energy whose score predicts the
added noise best is, up to a constant, that of the noised data's density; no negatives, no
sampling, no second derivatives. Small noise sees details and nothing between far modes,
large noise the reverse: a ladder of noises teaches one energy E(x, sigma) all of them,
and `AnnealedLangevin` samples down the ladder.

    L = 1/2 |s(x + sigma noise) + noise / sigma|^2,    s = -dE/dx

A ladder draws one sigma for each example and weighs it by (sigma / largest sigma)^2, so
that every level counts alike.

Reference: Vincent, "A connection between score matching and denoising autoencoders",
Neural Computation 23(7), 2011, eq. 9; the ladder: Song & Ermon, "Generative modeling by
estimating gradients of the data distribution", NeurIPS 2019, arXiv:1907.05600, eq. 5-6.
Differs: the score is the gradient of an energy; the ladder's weights are divided by the
largest sigma^2, so that one level is the plain loss.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies, score


class DenoisingScoreMatching(Method):
    """E learns the density of the data blurred by Gaussian noise.

    Args:
        energy: The energy to train, x -> (batch,); with a ladder (x, sigma) -> (batch,),
            sigma of shape (batch,).
        sigma: Standard deviation of the noise, or a ladder of them.
    """

    def __init__(
        self, energy: Energy | Callable[..., Tensor], *, sigma: float | Sequence[float]
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.ladder = isinstance(sigma, Sequence)
        levels = sigma if isinstance(sigma, Sequence) else [sigma]
        self.sigma = tuple(checks.positive("sigma", level) for level in levels)
        if not self.sigma:
            raise ValueError("sigma must hold at least one level, got none. Pass sigma=0.1.")

    @classmethod
    def example(cls, data: Tensor, *, sigma: float = 0.1) -> "DenoisingScoreMatching":
        """Return a small instance for points or images."""
        return cls(energies.MLP(data[0].numel()), sigma=sigma)

    def terms(self, x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Return the squared error of the score; standard normal noise is drawn if None."""
        checks.configurations("x", x)
        noise = torch.randn_like(x) if noise is None else noise
        level = torch.randint(len(self.sigma), (len(x),), device=x.device)
        sigma = x.new_tensor(self.sigma)[level]
        wide = sigma.view(-1, *[1] * (x.ndim - 1))
        given = (sigma,) if self.ladder else ()
        error = score(self.energy, x + wide * noise, *given, create_graph=True) + noise / wide
        weight = (wide / max(self.sigma)).square()
        return {"denoising": (weight * error.square()).flatten(1).sum(-1) / 2}
