"""An energy made of a network that reconstructs its input."""

from torch import nn

from ebm.energy import Energy
from ebm.shapes import Configurations, Energies


class ReconstructionError(Energy):
    """E(x) = |x - network(x)|^2: low where the network can reproduce the example.

    Never negative, so that a margin can bound how far it is pushed up.

    Args:
        network: Maps examples to reconstructions of the same shape.

    Reference: Zhao, Mathieu & LeCun, "Energy-based generative adversarial networks", ICLR
    2017, arXiv:1609.03126, section 2.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Configurations) -> Energies:
        """Return the squared error of each example's reconstruction."""
        return (x - self.network(x)).flatten(1).square().sum(-1)
