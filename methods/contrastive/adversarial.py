"""Adversarial training of a cost network and a generator.

The cost network is the energy: it goes down on data and up on what the generator makes.
The generator makes what costs little, and so finds the places to push up, in one pass
instead of a chain. The two move in turn. Without a margin the cost is the logit of a
discriminator; with one it must be bounded below, as a reconstruction error is.

    L_cost = softplus(E(x)) + softplus(-E(G(z)))    or    E(x) + max(0, margin - E(G(z)))
    L_generator = E(G(z)) - entropy_weight * H(G)

The entropy of the samples, G(z) + blur * noise, is bounded below by the contrast of each
with its batch; with weight 1 the generator is a sampler of exp(-E).

    H(G) >= -mean_i log mean_j N(x_i; G(z_j), blur^2)

Reference: Zhao, Mathieu & LeCun, "Energy-based generative adversarial networks", ICLR
2017, arXiv:1609.03126, eq. 1-2 (margin); Goodfellow et al., NeurIPS 2014, arXiv:1406.2661
(logistic form, D = sigmoid(-E)).
Differs: the entropy bound takes the place of the pulling-away term, and the generator
minimizes the cost itself in both forms.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import Energy, Method, as_energy, checks, distributed, energies, frozen, networks


class Adversarial(Method):
    """E goes down on data and up on the samples of a generator that seeks low cost.

    Args:
        cost: The energy, x -> (batch,).
        generator: Makes samples shaped like x of standard normal noise, (batch, noise_dim).
        noise_dim: Numbers in the generator's noise.
        cost_steps: Steps of the cost for each step of the generator.
        margin: Up to where generated samples are pushed; None is the logistic form.
        entropy_weight: Weight of the entropy bound of the samples; needs blur.
        blur: Standard deviation of the noise added to the samples.
    """

    def __init__(
        self,
        cost: Energy | Callable[[Tensor], Tensor],
        generator: nn.Module,
        *,
        noise_dim: int,
        cost_steps: int = 1,
        margin: float | None = None,
        entropy_weight: float = 0.0,
        blur: float = 0.0,
    ) -> None:
        super().__init__()
        self.energy = as_energy(cost)
        self.generator = generator
        self.noise_dim = checks.count("noise_dim", noise_dim)
        self.cost_steps = checks.count("cost_steps", cost_steps)
        self.margin = None if margin is None else checks.positive("margin", margin)
        self.entropy_weight = checks.not_negative("entropy_weight", entropy_weight)
        self.blur = checks.not_negative("blur", blur)
        if entropy_weight and not blur:
            raise ValueError(
                "blur must be a positive number for the entropy bound, got blur=0. "
                "Pass blur=0.1, in units of the data."
            )

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        noise_dim: int = 8,
        cost_steps: int | None = None,
        entropy_weight: float | None = None,
        blur: float | None = None,
    ) -> "Adversarial":
        """Return a small instance.

        For points the generator is a sampler of exp(-E), with two steps of the cost for each of
        its own, an entropy weight of 1 and a blur of 0.1; for images E is the reconstruction
        error of an autoencoder, with a margin of half the data's variance and none of that.
        """
        shape = data[0].shape
        standard = (1, 0.0, 0.0) if len(shape) > 1 else (2, 1.0, 0.1)
        given = zip((cost_steps, entropy_weight, blur), standard, strict=True)
        steps, weight, width = (b if a is None else a for a, b in given)
        two: dict[str, Any] = {"cost_steps": steps, "entropy_weight": weight, "blur": width}
        net = networks.MLP([noise_dim, 128, 128, shape.numel()])
        generator = nn.Sequential(net, nn.Unflatten(1, shape))
        if len(shape) > 1:
            net = networks.MLP([shape.numel(), 128, 16, 128, shape.numel()])
            cost = energies.ReconstructionError(
                nn.Sequential(nn.Flatten(), net, nn.Unflatten(1, shape))
            )
            margin = 0.5 * float(data.flatten(1).var(0).sum())
            return cls(cost, generator, noise_dim=noise_dim, margin=margin, **two)
        return cls(energies.MLP(shape.numel()), generator, noise_dim=noise_dim, **two)

    def sample(self, x: Tensor) -> Tensor:
        """Return as many generated samples as x has rows, on its device."""
        noise = torch.randn(len(x), self.noise_dim, dtype=x.dtype, device=x.device)
        return self.generator(noise)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the terms of the cost, or of the generator when it is its turn."""
        checks.configurations("x", x)
        if self.step % (self.cost_steps + 1) == self.cost_steps:
            return self.generator_terms(x)
        with torch.no_grad():
            samples = self.sample(x)
            samples = samples + self.blur * torch.randn_like(samples)
        data = checks.one_per_example(self.energy(x), len(x))
        generated = self.energy(samples)
        if self.margin is None:
            return {"data": functional.softplus(data), "samples": functional.softplus(-generated)}
        return {"data": data, "samples": functional.relu(self.margin - generated)}

    def generator_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the generator minimizes; the cost is seen, not trained."""
        centers = self.sample(x)
        samples = centers + self.blur * torch.randn_like(centers)
        terms = {"generator": frozen(self.energy)(samples)}
        if self.entropy_weight:
            terms["entropy"] = -self.entropy_weight * entropy_bound(centers, samples, self.blur)
        return terms


def entropy_bound(centers: Tensor, samples: Tensor, blur: float) -> Tensor:
    """Return a lower bound, in expectation, of the entropy of sample i = center i + noise."""
    centers, samples = distributed.gather(centers.flatten(1)), samples.flatten(1)
    squares = (samples.unsqueeze(1) - centers).square().sum(-1)
    dim, count = samples.shape[1], len(centers)
    constant = dim / 2 * math.log(2 * math.pi * blur**2) + math.log(count)
    return constant - torch.logsumexp(-squares / (2 * blur**2), dim=1)
