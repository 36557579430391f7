"""Energies with a latent: E(x, z), how z is inferred, and the free energy of x alone."""

from collections.abc import Callable

from torch import Tensor

from ebm.energy import Energy, as_energy
from ebm.latent.free_energy import FreeEnergy, free_energy
from ebm.latent.inference import Inference
from ebm.shapes import Energies


class LatentEnergy(Energy):
    """E(x, z) with a rule that infers z.

    Pass any callable (x, z) -> (batch,), or subclass and write `forward(self, x, z)`. A
    subclass may define `start(self, x)`, where iterations begin.

    >>> import ebm, torch
    >>> rule = ebm.latent.Enumeration(torch.tensor([0.0, 1.0]))
    >>> wells = ebm.latent.LatentEnergy(rule, lambda x, z: (x[:, 0] - z).square())
    >>> wells.infer(torch.tensor([[0.2], [0.9]]))
    tensor([0., 1.])

    Args:
        inference: Finds z for each x.
        energy: The elementary energy; None where a subclass defines `forward`.
    """

    def __init__(
        self, inference: Inference, energy: Energy | Callable[..., Tensor] | None = None
    ) -> None:
        super().__init__()
        self.inference = inference
        self.elementary = None if energy is None else as_energy(energy)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return E(x, z), (batch,)."""
        if self.elementary is None:
            raise NotImplementedError(f"{type(self).__name__} must define forward(self, x, z).")
        return self.elementary(x, z)

    def infer(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return the latent of each example, argmin_z E(x, z), searched from z if given."""
        return self.inference(self, x, z)

    def free_energy(
        self, x: Tensor, temperature: float = 0.0, *, normalize: bool = True
    ) -> Energies:
        """Return -T log mean_z exp(-E(x, z) / T); the minimum over z at temperature 0.

        Raises:
            ValueError: The temperature is above 0 and the rule cannot sum over z.
        """
        return free_energy(self, self.inference, x, temperature, normalize=normalize)

    def free(self, temperature: float = 0.0, *, normalize: bool = True) -> FreeEnergy:
        """Return the free energy as an energy of x: to be plotted, sampled and trained."""
        return FreeEnergy(self, self.inference, temperature, normalize=normalize)
