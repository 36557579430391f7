"""An energy made of a multilayer perceptron."""

from ebm import checks, networks
from ebm.energy import Energy
from ebm.shapes import Configurations, Energies


class MLP(Energy):
    """E(x) is the output of a multilayer perceptron with smooth activations.

    Args:
        dim: Numbers in an example; examples of any shape are flattened.
        hidden: Features of the hidden layers.
        spectral_norm: Divide each weight by its largest singular value.
    """

    def __init__(
        self, dim: int, *, hidden: tuple[int, ...] = (128, 128), spectral_norm: bool = False
    ) -> None:
        super().__init__()
        self.dim = checks.count("dim", dim)
        self.network = networks.MLP([dim, *hidden, 1], spectral_norm=spectral_norm)

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each example.

        Raises:
            TypeError: The examples are no floating-point numbers, or not of the network's dtype.
            ValueError: The examples have another number of numbers.
        """
        checks.examples(x, self.dim, "energies.MLP")
        return self.network(x.flatten(1)).squeeze(-1)
