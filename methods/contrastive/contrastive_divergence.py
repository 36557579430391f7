"""Contrastive divergence.

Push down on data and up on negatives that a few steps of a sampler make from them. With
chains that start at the data and an exact kernel the expected gradient vanishes when model
and data agree; with a replay buffer the chains persist (PCD) and the negatives approach
samples of the model.

    L = mean E(x) - mean E(x'),    x' = sampler^steps(start),    start = x or replay

Only the gradient of L means something: its value, the energy gap, hovers around zero.

The default sampler, MALA, rejects what an unstable step would do, so that energies cannot
grow without bound; `Langevin` is cheaper where the step size is safely small. Two regimes
are presets. `convergent`: persistent chains at temperature 1 with a rejection step, so that
E is a density. `short_run`: the same few steps from noise at a temperature near zero; E
guides those steps well and is no density (long chains leave the data).

Reference: Hinton, "Training products of experts by minimizing contrastive divergence",
Neural Computation 14(8), 2002; Tieleman, ICML 2008 (persistent chains); Nijkamp et al.,
"On the anatomy of MCMC-based maximum likelihood learning of energy-based models", AAAI
2020, arXiv:1903.12370 (the regimes).
Differs: the sampler is MALA; fresh starts of the replay buffer begin at the data.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies
from ebm.contrast import contrast
from ebm.memory import Replay
from ebm.samplers import MALA, Langevin, Sampler


class ContrastiveDivergence(Method):
    """E goes down on data and up where a short chain leads.

    Args:
        energy: The energy to train, x -> (batch,).
        sampler: Makes the negatives; its temperature is the model's.
        steps: Transitions from the start to the negative.
        replay: Keeps the chains from step to step; None starts each at its data.
        start: Makes fresh starts of the data, such as `torch.randn_like`; None is the data.
        magnitude_weight: Weight of E(x)^2 + E(x')^2; it ties down the energy's constant.
        gradient_weight: Weight of |dE/dx|^2 at the data; it flattens the energy there.
    """

    def __init__(
        self,
        energy: Energy | Callable[[Tensor], Tensor],
        sampler: Sampler = MALA(0.02),
        *,
        steps: int = 10,
        replay: Replay | None = None,
        start: Callable[[Tensor], Tensor] | None = None,
        magnitude_weight: float = 0.0,
        gradient_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        checks.offers("sampler", sampler, "move", "ebm.samplers.MALA(0.02)")
        self.sampler = sampler
        self.steps = checks.count("steps", steps)
        if replay is not None:
            checks.offers("replay", replay, "draw", "ebm.memory.Replay(10_000)")
        self.replay = replay
        self.start = start
        self.magnitude_weight = checks.not_negative("magnitude_weight", magnitude_weight)
        self.gradient_weight = checks.not_negative("gradient_weight", gradient_weight)

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        steps: int = 10,
        magnitude_weight: float = 0.0,
        gradient_weight: float = 0.0,
    ) -> "ContrastiveDivergence":
        """Return a small instance for points or images."""
        return cls(
            energies.MLP(data[0].numel()),
            steps=steps,
            magnitude_weight=magnitude_weight,
            gradient_weight=gradient_weight,
        )

    @classmethod
    def convergent(
        cls, energy: Energy | Callable[[Tensor], Tensor], *, step_size: float, steps: int = 50
    ) -> "ContrastiveDivergence":
        """Return the regime in which E becomes a density; train it slowly."""
        replay = Replay(10_000, restart=0.01)
        return cls(energy, MALA(step_size), steps=steps, replay=replay)

    @classmethod
    def short_run(
        cls,
        energy: Energy | Callable[[Tensor], Tensor],
        *,
        step_size: float,
        temperature: float,
        steps: int = 100,
    ) -> "ContrastiveDivergence":
        """Return the regime in which a short chain from noise makes good samples."""
        sampler = Langevin(step_size, temperature=temperature)
        return cls(energy, sampler, steps=steps, start=torch.randn_like)

    def negatives(self, x: Tensor) -> Tensor:
        """Return one negative for each example, detached."""
        starts = x if self.start is None else self.start(x)
        if self.replay is None:
            return self.sampler.move(self.energy, starts, self.steps)
        chains, slots = self.replay.draw(starts)
        chains = self.sampler.move(self.energy, chains, self.steps)
        self.replay.stage(slots, chains)
        return chains

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data and minus the energy of the negatives.

        A chain that blew up makes the term infinite, and `fit` stops.
        """
        return contrast(
            self.energy,
            x,
            self.negatives(x),
            magnitude_weight=self.magnitude_weight,
            gradient_weight=self.gradient_weight,
            temperature=getattr(self.sampler, "temperature", 1.0),
        )
