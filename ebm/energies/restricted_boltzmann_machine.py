"""The restricted Boltzmann machine: visible and hidden binary units, bound across only."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ebm import checks
from ebm.energies.states import binary_states
from ebm.energy import Energy
from ebm.shapes import Energies, Points

MOST_HIDDEN = 22
CHUNK = 2**14


class RestrictedBoltzmannMachine(Energy):
    """The free energy F(x) = -b^T x - sum softplus(c + W^T x) of binary hidden units z.

    E(x, z) = -b^T x - c^T z - x^T W z, units 0 or 1: given x the hidden units are
    independent, and given z the visible ones are, so both are drawn as blocks.

    Args:
        visible: Units of x.
        hidden: Units of z.

    Reference: Smolensky, "Information processing in dynamical systems: foundations of
    harmony theory", 1986; Hinton, "A practical guide to training restricted Boltzmann
    machines", UTML TR 2010-003 (start of the weights).
    """

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        checks.count("visible", visible)
        checks.count("hidden", hidden)
        self.weights = nn.Parameter(0.01 * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: Points) -> Energies:
        """Return the free energy of each example."""
        checks.features(x, len(self.visible_bias), self.visible_bias)
        return -x @ self.visible_bias - softplus(self.hidden_bias + x @ self.weights).sum(-1)

    def joint(self, x: Tensor, z: Tensor) -> Energies:
        """Return E(x, z)."""
        pairs = ((x @ self.weights) * z).sum(-1)
        return -x @ self.visible_bias - z @ self.hidden_bias - pairs

    def hidden(self, x: Tensor) -> Tensor:
        """Return the probability that each hidden unit is 1, given x, (batch, hidden)."""
        return torch.sigmoid(self.hidden_bias + x @ self.weights)

    def visible(self, z: Tensor) -> Tensor:
        """Return the probability that each visible unit is 1, given z, (batch, visible)."""
        return torch.sigmoid(self.visible_bias + z @ self.weights.mT)

    def gibbs(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return x after its hidden units were drawn as one block, and x as another."""
        z = torch.bernoulli(self.hidden(x), generator=generator)
        return torch.bernoulli(self.visible(z), generator=generator)

    @torch.no_grad()
    def log_normalizer(self) -> float:
        """Return log Z, summed over all hidden or all visible states, whichever are fewer.

        Raises:
            ValueError: Both sides have too many units; use `evaluation.ais`.
        """
        visible, hidden = self.weights.shape
        if min(visible, hidden) > MOST_HIDDEN:
            raise ValueError(
                f"units must be at most {MOST_HIDDEN} on one side to be enumerated, got "
                f"{visible} visible and {hidden} hidden. Use evaluation.ais."
            )
        w, b, c = self.weights.double(), self.visible_bias.double(), self.hidden_bias.double()
        if visible < hidden:
            w, b, c = w.mT, c, b
        states = binary_states(w.shape[1]).to(w)
        logs = [part @ c + softplus(b + part @ w.mT).sum(-1) for part in states.split(CHUNK)]
        return float(torch.logsumexp(torch.cat(logs), 0))
