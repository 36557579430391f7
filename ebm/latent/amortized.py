"""Inference by an encoder: one pass instead of a search."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.latent.inference import AnyEnergy, Inference, Inferred


@dataclass(frozen=True, eq=False)
class Amortized(Inference):
    """z = encoder(x): the free energy is then an upper bound of min_z E(x, z).

    The encoder stays attached: the bound's gradient reaches its parameters, and its path is
    part of the bound's gradient in x. The rule does not own the encoder: register it on the
    energy or the method that trains it.
    """

    encoder: Callable[[Tensor], Tensor]

    def solve(self, energy: AnyEnergy, x: Tensor, z: Tensor | None = None) -> Inferred:
        """Return the codes; a start is not needed, and nothing is known to have converged."""
        z = self.encoder(x)
        values = checks.one_per_example(energy(x, z), len(x))
        return Inferred(z, values, torch.zeros_like(values, dtype=torch.bool))

    def __call__(self, energy: AnyEnergy, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return the codes alone."""
        return self.encoder(x)
