"""The Boltzmann machine.

Binary units, each pair bound by a weight; hidden units, if any, are summed out. Pushed down
on the data and up on states that Gibbs sampling reaches: the difference of two correlations,
data's and model's, is the gradient of the likelihood.

    E(s) = -1/2 s^T W s - b^T s,  s = (x, z),    F(x) = -log sum_z exp(-E(x, z))
    L = mean F(x) - mean F(x'),   x' = gibbs^steps(chain)

Reference: Ackley, Hinton & Sejnowski, "A learning algorithm for Boltzmann machines",
Cognitive Science 9(1), 1985; Tieleman, ICML 2008 (persistent chains).
Differs: hidden units are summed exactly, so that Gibbs sampling moves x alone, unit by unit.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ebm import Method, checks, energies
from ebm.contrast import contrast
from ebm.energies.states import binarized
from ebm.memory import Replay
from ebm.samplers import Gibbs


class BoltzmannMachine(Method):
    """Pairwise couplings of binary units, learned from samples.

    Args:
        visible: Units of x.
        hidden: Hidden units, at most 12.
        steps: Sweeps of Gibbs sampling over all units in each step of training.
        replay: Keeps the chains; None starts each at its data.
    """

    def __init__(
        self, visible: int, hidden: int = 0, *, steps: int = 1, replay: Replay | None = None
    ) -> None:
        super().__init__()
        self.energy = energies.BoltzmannMachine(visible, hidden)
        self.sampler = Gibbs()
        self.steps = checks.count("steps", steps)
        self.replay = replay

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples as zeros and ones, split at the middle of their range."""
        x, views = super().example_inputs(data)
        return binarized(x).flatten(1), views

    @classmethod
    def example(cls, data: Tensor, *, hidden: int = 0) -> "BoltzmannMachine":
        """Return a small instance with persistent chains for binary vectors."""
        return cls(data.shape[1], hidden, replay=Replay(restart=0.0))

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
