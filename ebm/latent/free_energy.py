"""The free energy: a latent minimized out (cold), or averaged out (warm).

    F_0(x) = min_z E(x, z)        F_T(x) = -T log mean_z exp(-E(x, z) / T)

The mean, over the points of a finite rule, makes F_T comparable across temperatures:
min_z E <= F_T <= mean_z E, and F_T does not decrease as T grows. Without `normalize` the
sum takes the mean's place: F_T - T log n, the negative log of the partition function.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, as_energy
from ebm.latent.inference import Inference
from ebm.shapes import Energies


def soft_minimum(
    energies: Tensor, temperature: float, *, normalize: bool = True, dim: int = -1
) -> Tensor:
    """Return -T log mean exp(-E / T) along an axis; its gradient is softmax(-E / T).

    Temperature 0 gives the minimum, infinity the mean.

    >>> import torch
    >>> soft_minimum(torch.tensor([[1.0, 3.0]]), 0.0)
    tensor([1.])

    Raises:
        ValueError: The temperature is negative, or infinite without `normalize`.
    """
    heat("temperature", temperature, normalize=normalize)
    if temperature == 0:
        return energies.amin(dim)
    if temperature == math.inf:
        return energies.mean(dim)
    least = energies.detach().amin(dim, keepdim=True)
    above = (least - energies) / temperature
    # Hot, expm1 and log1p keep the digits that log n would take; cold, where few of many
    # energies count, 1 + weights would lose them.
    weights = torch.expm1(above).mean(dim)
    log = torch.where(
        weights > -0.5, torch.log1p(weights.clamp(min=-0.5)), above.exp().mean(dim).log()
    )
    value = least.squeeze(dim) - temperature * log
    return value if normalize else value - temperature * math.log(energies.shape[dim])


def variational_bound(energies: Tensor, q: Tensor, temperature: float = 1.0) -> Energies:
    """Return E_q[E] - T H(q), for shares q of the latents, (batch, points) both.

    It lies above the free energy without `normalize`, by T KL(q | softmax(-E / T)), and is
    equal to it where q is that softmax: what a variational autoencoder and a step of EM lower.

    >>> import torch
    >>> variational_bound(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([1.])

    Raises:
        ValueError: Shapes differ, or the shares of an example are no distribution.
    """
    checks.positive("temperature", temperature)
    if q.shape != energies.shape:
        raise ValueError(
            f"q must have the shape of energies, {tuple(energies.shape)}, got {tuple(q.shape)}. "
            "Give each latent of each example its share."
        )
    off = float((q.detach().sum(-1) - 1).abs().max()) if len(q) else 0.0
    if bool((q < 0).any()) or off > 1e-3:
        raise ValueError(
            f"q must be a distribution over the latents, got sums off 1 by up to {off:.2g}. "
            "Use torch.softmax(..., -1)."
        )
    return (q * energies + temperature * torch.special.xlogy(q, q)).sum(-1)


class FreeEnergy(Energy):
    """The free energy of E(x, z) at a temperature, as an energy of x alone.

    Args:
        energy: E(x, z), (batch, *shape) and (batch, *latent) to (batch,).
        inference: Finds z; above temperature 0 it must be finite (Grid, Enumeration, Draws).
        temperature: 0 takes the minimum, infinity the mean.
        normalize: Average over z; sum if False.
    """

    def __init__(
        self,
        energy: Energy | Callable[..., Tensor],
        inference: Inference,
        temperature: float = 0.0,
        *,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.temperature = heat("temperature", temperature, normalize=normalize)
        self.elementary = as_energy(energy)
        self.inference, self.normalize = inference, normalize

    def forward(self, x: Tensor) -> Energies:
        """Return the free energies, (batch,)."""
        return free_energy(
            self.elementary, self.inference, x, self.temperature, normalize=self.normalize
        )


def free_energy(
    energy: Energy | Callable[..., Tensor],
    inference: Inference,
    x: Tensor,
    temperature: float = 0.0,
    *,
    normalize: bool = True,
) -> Energies:
    """Return the free energy of each example.

    At temperature 0 the gradient is that of E at the inferred latent, held fixed (the
    envelope theorem); above, it is the mean of the gradients weighted by exp(-E / T).

    Raises:
        ValueError: The temperature is above 0 and the rule cannot sum over z.
    """
    heat("temperature", temperature, normalize=normalize)
    checks.configurations("x", x)
    if temperature == 0:
        z = inference(energy, x)
        return checks.one_per_example(energy(x, z), len(x))
    everywhere = getattr(inference, "energies", None)
    if everywhere is None:
        raise ValueError(
            f"inference must be finite above temperature 0, got {type(inference).__name__}. "
            "Use Grid, Enumeration or Draws, which sum over z."
        )
    return soft_minimum(everywhere(energy, x), temperature, normalize=normalize)


def heat(name: str, value: float, *, normalize: bool = True) -> float:
    """Return the temperature, refused unless it is 0, positive or, normalized, infinite."""
    if value != math.inf:
        return checks.not_negative(name, value)
    if not normalize:
        raise ValueError(
            f"{name} must be finite without normalize, got {name}=inf: the sum diverges. "
            "Use normalize=True, which gives the mean."
        )
    return value
