"""The Boltzmann machine: binary units that like or dislike one another in pairs."""

import torch
from torch import Tensor, nn

from ebm import checks
from ebm.energies.states import binary_states
from ebm.energy import Energy
from ebm.shapes import Energies, Matrix, Points

MOST_HIDDEN = 12


class BoltzmannMachine(Energy):
    """E(s) = -1/2 s^T W s - b^T s over s = (x, z), W symmetric with a zero diagonal.

    The energy of x is the free energy over the hidden units z, summed exactly; without
    hidden units it is E itself. Units are 0 or 1.

    Args:
        visible: Units of x.
        hidden: Units of z, at most 12.

    Reference: Ackley, Hinton & Sejnowski, "A learning algorithm for Boltzmann machines",
    Cognitive Science 9(1), 1985.
    """

    hidden_states: Tensor

    def __init__(self, visible: int, hidden: int = 0) -> None:
        super().__init__()
        self.visible = checks.count("visible", visible)
        if checks.count("hidden", hidden, least=0) > MOST_HIDDEN:
            raise ValueError(
                f"hidden must be at most {MOST_HIDDEN} units to be summed over, got "
                f"hidden={hidden}. Use a RestrictedBoltzmannMachine."
            )
        units = visible + hidden
        self.coupling = nn.Parameter(0.01 * torch.randn(units, units))
        self.bias = nn.Parameter(torch.zeros(units))
        states = binary_states(hidden) if hidden else torch.zeros(1, 0)
        self.register_buffer("hidden_states", states, persistent=False)

    @property
    def weights(self) -> Matrix:
        """W: symmetric, zero on the diagonal."""
        symmetric = (self.coupling + self.coupling.mT) / 2
        return symmetric - torch.diag(symmetric.diagonal())

    def joint(self, s: Tensor) -> Tensor:
        """Return E(s) of visible and hidden units together, (*batch,)."""
        return -((s @ self.weights) * s).sum(-1) / 2 - s @ self.bias

    def forward(self, x: Points) -> Energies:
        """Return -log sum_z exp(-E(x, z))."""
        checks.features(x, self.visible, self.bias)
        z = self.hidden_states.to(x.dtype)
        s = torch.cat([x[:, None].expand(-1, len(z), -1), z.expand(len(x), -1, -1)], dim=-1)
        return -torch.logsumexp(-self.joint(s), dim=1)
