"""Heads on top of an encoder: projector and predictor."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from ebm import checks
from ebm.networks.batch_norm import BatchNorm


class Projector(nn.Sequential):
    """Linear, batch norm, ReLU for each hidden size, then a linear layer.

    Args:
        sizes: Features of the input, of each hidden layer, and of the output.
        bias: Give the last layer a bias; the others have one in their batch norm.
        last: Applied to the output, such as `BatchNorm(dim, affine=False)`.
    """

    def __init__(
        self, sizes: Sequence[int], *, bias: bool = False, last: nn.Module | None = None
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"sizes must name input and output, got {sizes}. Pass [64, 128, 32].")
        for size in sizes:
            checks.count("sizes", size)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes[:-1]):
            layers += [nn.Linear(before, after, bias=False), BatchNorm(after), nn.ReLU()]
        layers += [nn.Linear(sizes[-2], sizes[-1], bias=bias)]
        super().__init__(*layers, *([last] if last is not None else []))
        self.inputs, self.features = sizes[0], sizes[-1]

    def forward(self, input: Tensor) -> Tensor:
        """Return the embedding of each row.

        Raises:
            TypeError: The rows are no floating-point numbers, or not of the network's dtype.
            ValueError: The rows have another number of features.
        """
        checks.features(input, self.inputs, self[0].weight)  # pyright: ignore[reportArgumentType]
        return super().forward(input)


class Predictor(Projector):
    """Linear, batch norm, ReLU, linear with a bias: back to the features it was given.

    Args:
        features: Features of the input and of the output.
        hidden: Features of the hidden layer; a bottleneck in SimSiam, wide in BYOL.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__([features, hidden, features], bias=True)
