"""Joint energy: a classifier's logits as an energy of inputs and labels.

A classifier with logits f(x) holds a joint density of x and y, of which training by cross
entropy uses only p(y | x). Train p(x) as well, by contrastive divergence on the free energy
over labels: the same network then classifies, scores inputs and generates them.

    E(x, y) = -f(x)[y],    E(x) = -logsumexp_y f(x)[y]
    L = -log softmax(f(x))[y] + density_weight * (E(x) - E(x')),    x' = sampler^steps(chain)

Adding a function of x to all logits changes p(x) and leaves p(y | x) as it is.

Reference: Grathwohl et al., "Your classifier is secretly an energy based model and you
should treat it like one", ICLR 2020, arXiv:1912.03263, eq. 5-8.
Differs: the sampler is MALA at temperature 1; the paper's is Langevin(1, temperature=5e-5)
with 20 steps and a buffer whose fresh starts are noise.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ebm import Method, checks, networks
from ebm.contrast import contrast
from ebm.memory import Replay
from ebm.samplers import MALA, Sampler


class JointEnergy(Method):
    """A classifier and a density in one network.

    Args:
        classifier: Makes logits, x -> (batch, classes). No batch norm: the energy of an
            example must not depend on the others.
        sampler: Makes the negatives; its temperature is the model's.
        steps: Transitions in each step of training.
        replay: Keeps the chains; None starts each at its data.
        start: Makes fresh starts of the data, such as `torch.randn_like`; None is the data.
        density_weight: Weight of the contrast of p(x).
    """

    def __init__(
        self,
        classifier: nn.Module,
        sampler: Sampler = MALA(0.02),
        *,
        steps: int = 10,
        replay: Replay | None = None,
        start: Callable[[Tensor], Tensor] | None = None,
        density_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        checks.offers("sampler", sampler, "move", "ebm.samplers.MALA(0.02)")
        self.sampler = sampler
        self.steps = checks.count("steps", steps)
        if replay is not None:
            checks.offers("replay", replay, "draw", "ebm.memory.Replay(10_000)")
        self.replay = replay
        self.start = start
        self.density_weight = checks.not_negative("density_weight", density_weight)

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, Tensor],
        *,
        steps: int = 10,
        density_weight: float = 1.0,
    ) -> "JointEnergy":
        """Return a small instance for examples and their classes.

        Raises:
            ValueError: The data have no classes.
        """
        if not isinstance(data, tuple):
            raise ValueError(
                "data must be examples and their classes, got examples alone. "
                "Pass (x, labels), or --data labeled-gaussians."
            )
        x, labels = data
        net = networks.MLP([x[0].numel(), 128, 128, int(labels.max()) + 1])
        return cls(nn.Sequential(nn.Flatten(), net), steps=steps, density_weight=density_weight)

    def energy(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return E(x, y), or without a label E(x), (batch,)."""
        logits = self.classifier(x)
        if y is None:
            return -torch.logsumexp(logits, dim=1)
        return -logits.gather(1, y[:, None]).squeeze(1)

    def negatives(self, x: Tensor) -> Tensor:
        """Return one negative for each example, detached."""
        starts = x if self.start is None else self.start(x)
        if self.replay is None:
            return self.sampler.move(self.energy, starts, self.steps)
        chains, slots = self.replay.draw(starts)
        chains = self.sampler.move(self.energy, chains, self.steps)
        self.replay.stage(slots, chains)
        return chains

    def terms(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the cross entropy, the energy of the data and minus that of the negatives."""
        terms = {"classes": cross_entropy(self.classifier(x), labels, reduction="none")}
        if self.density_weight:
            pair = contrast(self.energy, x, self.negatives(x))
            terms |= {name: self.density_weight * value for name, value in pair.items()}
        return terms
