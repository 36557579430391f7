"""A smooth convolutional network that keeps track of where things are."""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from ebm import checks


class Convolutional(nn.Sequential):
    """3x3 convolutions with stride 2 and SiLU, then one linear layer of all that remains.

    No batch norm, so that an example's output is its own, and smooth, so that its gradient
    in the picture is too.

    Args:
        channels: Channels of the pictures.
        size: Height and width of the pictures, in pixels.
        features: Features of the output.
        widths: Channels of the convolutions; each halves the picture.
        spectral_norm: Divide each weight by its largest singular value, that of a
            convolution taken as a matrix with one row for each output channel.
    """

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        features: int,
        *,
        widths: Sequence[int] = (32, 64, 128),
        spectral_norm: bool = False,
    ) -> None:
        height, width = size if isinstance(size, tuple) else (size, size)
        for side in (height, width):
            checks.count("size", side)
        for each in (*widths, features):
            checks.count("widths and features", each)
        bounded = nn.utils.parametrizations.spectral_norm if spectral_norm else _same
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([checks.count("channels", channels), *widths]):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            layers += [bounded(convolution), nn.SiLU()]
        shrunk = [math.ceil(side / 2 ** len(widths)) for side in (height, width)]
        last = widths[-1] if widths else channels
        linear = nn.Linear(last * math.prod(shrunk), features)
        super().__init__(*layers, nn.Flatten(), bounded(linear))
        self.shape = (channels, height, width)
        self.features = features

    def forward(self, input: Tensor) -> Tensor:
        """Return the output for each picture.

        Raises:
            TypeError: They are no floating-point numbers, or not of the network's dtype.
            ValueError: The pictures have another shape than the network was made for.
        """
        checks.pictures(input, self.shape[0], self[-1].bias)  # pyright: ignore[reportArgumentType]
        if tuple(input.shape[1:]) != self.shape:
            shape = ", ".join(map(str, self.shape))
            raise ValueError(
                f"x must have shape (batch, {shape}), got {tuple(input.shape)}. Make the network "
                "for pictures of that size, or resize them."
            )
        return super().forward(input)


def _same(module: nn.Module) -> nn.Module:
    return module
