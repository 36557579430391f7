"""What every rule of inference offers: a latent, its energy, and whether it has settled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm.energy import Energy

AnyEnergy = Energy | Callable[..., Tensor]


@dataclass(frozen=True)
class Inferred:
    """What inference found for each example."""

    z: Tensor
    """The latents, (batch, *latent)."""
    energy: Tensor
    """E(x, z), (batch,)."""
    converged: Tensor
    """Which examples met the rule's own stopping test, (batch,)."""
    gap: Tensor | None = None
    """Upper bounds of E(x, z) - min_z E(x, z), (batch,), where the energy offers one."""


@dataclass(frozen=True, eq=False)
class Inference:
    """A rule that finds a latent for each example; it gets the energy at every call.

    Subclasses define `solve`. The latents are detached, so that the gradient of the free
    energy is that of the envelope theorem; `Amortized` alone keeps its encoder attached.
    No rule ends above the energy it started from.
    """

    def solve(self, energy: AnyEnergy, x: Tensor, z: Tensor | None = None) -> Inferred:
        """Return the latents with their energies, from the start `z` if there is one."""
        raise NotImplementedError(f"{type(self).__name__} must define solve.")

    def __call__(self, energy: AnyEnergy, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return the latents alone."""
        return self.solve(energy, x, z).z


def starting(energy: AnyEnergy, rule: Inference | None, x: Tensor, z: Tensor | None) -> Tensor:
    """Return where an iteration starts: the given z, the rule's, or the energy's own.

    Raises:
        ValueError: There is none of the three, or the given one has another batch.
    """
    if z is None and rule is not None:
        z = rule(energy, x)
    if z is None:
        own: Any = getattr(energy, "start", None)
        if own is None:
            raise ValueError(
                "z must have a start, got none. Pass infer(x, z), give the rule "
                "start=Enumeration(...) or another rule, or define start(self, x) on the energy."
            )
        z = torch.as_tensor(own(x))
    if len(z) != len(x):
        raise ValueError(
            f"z must have one row for each example, got {len(z)} rows for {len(x)} examples. "
            "Give each example its own start."
        )
    return z.detach()
