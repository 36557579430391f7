"""ResNet-18 with the stem for small pictures."""

from torch import Tensor, nn

from ebm import checks
from ebm.networks.batch_norm import BatchNorm
from ebm.shapes import Embeddings, Images


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.first_norm, self.second_norm = BatchNorm(after), BatchNorm(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            convolution = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, BatchNorm(after))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.first_norm(self.first(x)).relu()
        return (self.second_norm(self.second(y)) + self.shortcut(x)).relu()


class ResNet18(nn.Module):
    """ResNet-18 whose stem is one 3x3 convolution without pooling, as for CIFAR.

    Args:
        channels: Channels of the pictures.
        width: Channels of the first stage; 64 in the paper, each later stage doubles them.

    Reference: He, Zhang, Ren & Sun, "Deep residual learning for image recognition", CVPR 2016,
    arXiv:1512.03385; the stem of Chen et al., "SimCLR", ICML 2020, appendix B.9.
    """

    def __init__(self, channels: int = 3, *, width: int = 64) -> None:
        super().__init__()
        checks.count("channels", channels)
        checks.count("width", width)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), BatchNorm(width), nn.ReLU()
        )
        stages: list[nn.Module] = []
        before = width
        for after, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
            stages += [Block(before, after, stride), Block(after, after, 1)]
            before = after
        self.stages = nn.Sequential(*stages)
        self.channels, self.features = channels, 8 * width

    def forward(self, x: Images) -> Embeddings:
        """Return the mean of the last feature map over the picture.

        Raises:
            TypeError: The pictures are no floating-point numbers, or not of the network's dtype.
            ValueError: They are no pictures with these channels.
        """
        checks.pictures(x, self.channels, self.stem[0].weight)  # pyright: ignore[reportArgumentType]
        return self.stages(self.stem(x)).mean((2, 3))
