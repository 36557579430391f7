"""Ratio matching.

Score matching for binary data: in place of the slope of the log density, match the ratio of
each example's probability to that of the states one flip away. The ratios need no log Z,
and no sampling.

    L = sum_i sigmoid(E(x) - E(x with unit i flipped))^2

Reference: Hyvarinen, "Some extensions of score matching", Computational Statistics & Data
Analysis 51(5), 2007, eq. 24.
Differs: in nothing; sigmoid(u) is the paper's g(ratio) = 1 / (1 + ratio) on the log ratio.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm import Energy, Method, as_energy, checks, energies
from ebm.energies.states import binarized, flip_energies


class RatioMatching(Method):
    """E becomes minus the log probability of binary data, by its one-flip ratios.

    Args:
        energy: The energy to train, x -> (batch,), x of zeros and ones.
    """

    def __init__(self, energy: Energy | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.energy = as_energy(energy)

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples as zeros and ones, split at the middle of their range."""
        x, views = super().example_inputs(data)
        return binarized(x), views

    @classmethod
    def example(cls, data: Tensor) -> "RatioMatching":
        """Return a small instance for binary vectors or images."""
        return cls(energies.MLP(data[0].numel()))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the squared probabilities that a flip is preferred, summed over units."""
        here = checks.one_per_example(self.energy(x), len(x))
        gaps = here[:, None] - flip_energies(self.energy, x)
        return {"ratios": torch.sigmoid(gaps).square().sum(-1)}
