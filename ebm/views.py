"""Views: batched augmentation on the device, every example with its own draw."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks


class Noise(nn.Module):
    """x + scale * noise: the view of a point, or grain on an image."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = checks.not_negative("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return a noisy copy."""
        return x + self.scale * torch.randn_like(x)


class Shift(nn.Module):
    """Shifts each image by its own whole number of pixels, up to `most` in each direction."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = checks.count("most", most)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shifted images; the edge is repeated where nothing was seen."""
        n, _, height, width = x.shape
        padded = functional.pad(x, [self.most] * 4, mode="replicate")
        down, right = torch.randint(0, 2 * self.most + 1, (2, n, 1), device=x.device)
        rows = (down + torch.arange(height, device=x.device))[:, None, :, None]
        columns = (right + torch.arange(width, device=x.device))[:, None, None, :]
        examples = torch.arange(n, device=x.device)[:, None, None, None]
        channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
        return padded[examples, channels, rows, columns]


class Pair(nn.Module):
    """Two independent views of each example."""

    def __init__(self, view: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.view = view

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return two views."""
        return self.view(x), self.view(x)


def pair(data: Tensor) -> Pair:
    """Return a mild two-view augmentation for data of this kind.

    Points get noise of a tenth of their spread; images are shifted by up to an eighth of
    their size and get noise of the same share.
    """
    noise = Noise(0.1 * float(data.std()))
    if data.ndim != 4:
        return Pair(noise)
    return Pair(nn.Sequential(Shift(max(1, data.shape[-1] // 8)), noise))
