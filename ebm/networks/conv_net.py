"""A small convolutional encoder."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from ebm import checks
from ebm.networks.batch_norm import BatchNorm


class ConvNet(nn.Sequential):
    """Blocks of a 3x3 convolution with stride 2, batch norm and ReLU, then the spatial mean.

    Each block halves the picture; any size of picture fits.

    Args:
        channels: Channels of the pictures.
        features: Features of the representation, those of the last block.
        widths: Channels of the blocks before the last.
    """

    def __init__(self, channels: int, features: int, *, widths: Sequence[int] = (32, 64)) -> None:
        sizes = [checks.count("channels", channels), *widths, checks.count("features", features)]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, BatchNorm(after), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.channels, self.features = channels, features

    def forward(self, input: Tensor) -> Tensor:
        """Return the representation of each picture.

        Raises:
            TypeError: They are no floating-point numbers, or not of the network's dtype.
            ValueError: They are no pictures with these channels.
        """
        checks.pictures(input, self.channels, self[0].weight)  # pyright: ignore[reportArgumentType]
        return super().forward(input)
