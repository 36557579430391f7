"""A multilayer perceptron."""

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ebm import checks


class MLP(nn.Sequential):
    """Linear layers with an activation between them, `sizes[0]` features to `sizes[-1]`.

    Args:
        sizes: Features of the input, of each hidden layer, and of the output.
        activation: Makes the activation; smooth by default, so that scores are smooth too.
        spectral_norm: Divide each weight by its largest singular value.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: Callable[[], nn.Module] = nn.SiLU,
        spectral_norm: bool = False,
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"sizes must name input and output, got {sizes}. Pass [2, 64, 1].")
        for size in sizes:
            checks.count("sizes", size)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            linear = nn.Linear(before, after)
            if spectral_norm:
                linear = nn.utils.parametrizations.spectral_norm(linear)
            layers += [linear, activation()]
        super().__init__(*layers[:-1])
        self.inputs, self.features = sizes[0], sizes[-1]

    def forward(self, input: Tensor) -> Tensor:
        """Return the output for each row.

        Raises:
            TypeError: The rows are no floating-point numbers, or not of the network's dtype.
            ValueError: The rows have another number of features.
        """
        checks.features(input, self.inputs, self[-1].bias)  # pyright: ignore[reportArgumentType]
        return super().forward(input)
