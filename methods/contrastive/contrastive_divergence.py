"""Contrastive divergence.

Push down on data and up on negatives that a few steps of a sampler make from them. With
chains that start at the data and an exact kernel the expected gradient vanishes when model
and data agree; with a replay buffer the chains persist (PCD) and the negatives approach
samples of the model.

    L = mean E(x) - mean E(x'),    x' = sampler^steps(start),    start = x or replay

Only the gradient of L means something: its value hovers around zero.

Reference: Hinton, "Training products of experts by minimizing contrastive divergence",
Neural Computation 14(8), 2002; Tieleman, ICML 2008 (persistent chains).
Differs: in nothing; fresh starts of the replay buffer begin at the data.
"""

from collections.abc import Callable

from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies
from ebm.memory import Replay
from ebm.samplers import Langevin, Sampler


class ContrastiveDivergence(Method):
    """E goes down on data and up where a short chain leads.

    Args:
        energy: The energy to train, x -> (batch,).
        sampler: Makes the negatives; its temperature is the model's.
        steps: Transitions from the start to the negative.
        replay: Keeps the chains from step to step; None starts each at its data.
    """

    def __init__(
        self,
        energy: Energy | Callable[[Tensor], Tensor],
        sampler: Sampler = Langevin(0.01),
        *,
        steps: int = 10,
        replay: Replay | None = None,
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.sampler = sampler
        self.steps = checks.count("steps", steps)
        self.replay = replay

    @classmethod
    def example(cls, data: Tensor, **hyper: object) -> "ContrastiveDivergence":
        """Return a small instance for points or images."""
        return cls(energies.MLP(data[0].numel()), **hyper)  # pyright: ignore[reportArgumentType]

    def negatives(self, x: Tensor) -> Tensor:
        """Return one negative for each example, detached."""
        if self.replay is None:
            return self.sampler.move(self.energy, x, self.steps)
        chains, slots = self.replay.draw(x)
        chains = self.sampler.move(self.energy, chains, self.steps)
        self.replay.stage(slots, chains)
        return chains

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data and minus the energy of the negatives."""
        negatives = self.negatives(x)
        return {"data": self.energy(x), "negatives": -self.energy(negatives)}
