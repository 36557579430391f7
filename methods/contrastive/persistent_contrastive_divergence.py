"""Persistent contrastive divergence.

Contrastive divergence whose chains go on from step to step: while the energy moves slowly
the chains stay close to samples of the model, and the gradient close to that of the
likelihood. The chains live in a replay buffer; a small fraction of them starts afresh.

    L = mean E(x) - mean E(x') + kl_weight * KL,    x' = sampler^steps(chain)
    KL = mean F(x'(E)) - entropy_weight * mean log |x'_i - nearest x'_j|

The KL term, off by default, is what contrastive divergence drops: the sampler too depends
on E. F is a copy of E held constant, and the last step of the chain is differentiated in E.

Reference: Tieleman, "Training restricted Boltzmann machines using approximations to the
likelihood gradient", ICML 2008; Du et al., "Improved contrastive divergence training of
energy based models", ICML 2021, arXiv:2012.01316, eq. 8-12 (KL).
Differs: chains are taken in turn and written back to their own slots; the neighbors are
sought in the batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies, frozen, score
from ebm.contrast import contrast
from ebm.memory import Replay
from ebm.samplers import MALA, Langevin, Sampler


class PersistentContrastiveDivergence(Method):
    """E goes down on data and up where persistent chains are.

    Args:
        energy: The energy to train, x -> (batch,).
        sampler: Moves the chains; its temperature is the model's.
        steps: Transitions of a chain in each step of training.
        replay: Keeps the chains; fresh ones start at the data.
        start: Makes fresh starts of the data, such as `torch.randn_like`; None is the data.
        magnitude_weight: Weight of E(x)^2 + E(x')^2; it ties down the energy's constant.
        gradient_weight: Weight of |dE/dx|^2 at the data; it flattens the energy there.
        kl_weight: Weight of the KL term; needs `Langevin`.
        entropy_weight: Weight of the entropy in the KL term.
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
        kl_weight: float = 0.0,
        entropy_weight: float = 0.3,
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        checks.offers("sampler", sampler, "move", "ebm.samplers.MALA(0.02)")
        self.sampler = sampler
        self.steps = checks.count("steps", steps)
        if replay is not None:
            checks.offers("replay", replay, "draw", "ebm.memory.Replay(10_000)")
        self.replay = Replay() if replay is None else replay
        self.start = start
        self.magnitude_weight = checks.not_negative("magnitude_weight", magnitude_weight)
        self.gradient_weight = checks.not_negative("gradient_weight", gradient_weight)
        self.kl_weight = checks.not_negative("kl_weight", kl_weight)
        self.entropy_weight = checks.not_negative("entropy_weight", entropy_weight)
        if kl_weight and not isinstance(sampler, Langevin):
            raise ValueError(
                f"sampler must be Langevin for the KL term, got {type(sampler).__name__}. "
                "An accepted or rejected step cannot be differentiated."
            )

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        steps: int = 10,
        magnitude_weight: float = 0.0,
        gradient_weight: float = 0.0,
        kl_weight: float = 0.0,
        entropy_weight: float = 0.3,
    ) -> "PersistentContrastiveDivergence":
        """Return a small instance for points or images."""
        replay = Replay(max(1_000, min(10_000, len(data) // 10)))  # so that each moves often
        return cls(
            energies.MLP(data[0].numel()),
            steps=steps,
            replay=replay,
            magnitude_weight=magnitude_weight,
            gradient_weight=gradient_weight,
            kl_weight=kl_weight,
            entropy_weight=entropy_weight,
        )

    def negatives(self, x: Tensor) -> Tensor:
        """Return one evolved chain for each example, detached."""
        chains, slots = self.replay.draw(x if self.start is None else self.start(x))
        chains = self.sampler.move(self.energy, chains, self.steps)
        self.replay.stage(slots, chains)
        return chains

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the energy of the data, minus that of the chains, and the KL term."""
        negatives = self.negatives(x)
        terms = contrast(
            self.energy,
            x,
            negatives,
            magnitude_weight=self.magnitude_weight,
            gradient_weight=self.gradient_weight,
            temperature=getattr(self.sampler, "temperature", 1.0),
        )
        if self.kl_weight:
            terms["kl"] = self.kl_weight * self.kl(negatives)
        return terms

    def kl(self, x: Tensor) -> Tensor:
        """Return the energy after one more step, differentiated in E, less its entropy."""
        sampler = self.sampler
        direction = score(self.energy, x, create_graph=True)
        moved = sampler.propose(x, direction, torch.randn_like(x))  # pyright: ignore[reportAttributeAccessIssue]
        distances = torch.cdist(moved.flatten(1), moved.flatten(1).detach())
        distances = distances + torch.diag(distances.new_full((len(x),), torch.inf))
        entropy = distances.amin(1).clamp(min=1e-6).log()
        return frozen(self.energy)(moved) - self.entropy_weight * entropy
