"""The restricted Boltzmann machine.

Binary hidden units that detect patterns of binary visible ones. Without bonds inside a
layer each layer is drawn at once given the other, so chains are cheap; training is
contrastive divergence on the free energy, its chains persistent or started at the data.

    F(x) = -b^T x - sum softplus(c + W^T x)
    L = mean F(x) - mean F(x'),    x' = (z ~ p(z | x), x ~ p(x | z))^steps

Reference: Smolensky, "Information processing in dynamical systems: foundations of harmony
theory", 1986; Hinton, Neural Computation 14(8), 2002; Tieleman, ICML 2008.
Differs: in nothing.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ebm import Method, checks, energies
from ebm.contrast import contrast
from ebm.energies.states import binarized
from ebm.memory import Replay
from ebm.samplers import BlockGibbs


class RestrictedBoltzmannMachine(Method):
    """Features of binary data, learned from block Gibbs sampling.

    Args:
        visible: Units of x.
        hidden: Hidden units.
        steps: Sweeps of block Gibbs sampling in each step of training.
        replay: Keeps the chains; None starts each at its data.
    """

    def __init__(
        self, visible: int, hidden: int, *, steps: int = 1, replay: Replay | None = None
    ) -> None:
        super().__init__()
        self.energy = energies.RestrictedBoltzmannMachine(visible, hidden)
        self.sampler = BlockGibbs()
        self.steps = checks.count("steps", steps)
        self.replay = replay

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples as zeros and ones, split at the middle of their range."""
        x, views = super().example_inputs(data)
        return binarized(x).flatten(1), views

    @classmethod
    def example(cls, data: Tensor, *, hidden: int = 32) -> "RestrictedBoltzmannMachine":
        """Return a small instance with persistent chains for binary vectors."""
        return cls(data.shape[1], hidden, steps=5, replay=Replay(restart=0.0))

    def encode(self, x: Tensor) -> Tensor:
        """Return the probabilities of the hidden units."""
        return self.energy.hidden(x)

    def negatives(self, x: Tensor) -> Tensor:
        """Return one state of the model for each example."""
        if self.replay is None:
            return self.sampler.move(self.energy, x, self.steps)
        chains, slots = self.replay.draw(x)
        chains = self.sampler.move(self.energy, chains, self.steps)
        self.replay.stage(slots, chains)
        return chains

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the free energy of the data and minus that of the chains."""
        return contrast(self.energy, x, self.negatives(x))
