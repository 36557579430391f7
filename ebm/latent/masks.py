"""Masks: which entries of an example are hidden, at random or each in turn."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.shapes import Configurations


@dataclass(frozen=True)
class Masks:
    """Hides a share of the entries; for images, of square patches over all channels.

    Args:
        share: Share that is hidden.
        patch: Height and width of a patch; 1 hides single pixels, or entries of vectors.
    """

    share: float = 0.5
    patch: int = 1

    def __post_init__(self) -> None:
        checks.fraction("share", self.share)
        checks.count("patch", self.patch)

    def draw(self, x: Configurations) -> Tensor:
        """Return one mask for each example, shaped like x, 1 where it is hidden."""
        order = torch.rand(len(x), self._cells(x), device=x.device).argsort(1).argsort(1)
        return self._spread(order < self._hidden(x), x)

    def cover(self, x: Configurations) -> list[Tensor]:
        """Return masks that are the same for all examples and hide every entry equally often.

        A pattern with the drawn masks' share, moved along by its size until it comes round.
        """
        cells, hidden = self._cells(x), self._hidden(x)
        # A stride without a common divisor scatters the pattern over the picture.
        stride = next(s for s in range(max(1, int(0.6 * cells)), 0, -1) if math.gcd(s, cells) == 1)
        order = (torch.arange(cells, device=x.device) * stride) % cells
        count = cells // math.gcd(cells, hidden)
        masks = []
        for number in range(count):
            place = (order - number * hidden) % cells
            masks.append(self._spread((place < hidden)[None], x).expand(x.shape))
        return masks

    def _cells(self, x: Tensor) -> int:
        if x.ndim != 4:
            return x[0].numel() if len(x) else x.shape[1:].numel()
        height, width = x.shape[2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"patch must divide the image, got patch={self.patch} and "
                f"{height} x {width}. Choose a divisor of both."
            )
        return (height // self.patch) * (width // self.patch)

    def _hidden(self, x: Tensor) -> int:
        cells = self._cells(x)
        return min(max(1, round(self.share * cells)), max(1, cells - 1))

    def _spread(self, hidden: Tensor, x: Tensor) -> Tensor:
        hidden = hidden.to(x.dtype)
        if x.ndim != 4:
            return hidden.view(len(hidden), *x.shape[1:])
        rows, columns = x.shape[2] // self.patch, x.shape[3] // self.patch
        tiles = hidden.view(-1, 1, rows, columns)
        tiles = tiles.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
        return tiles.expand(-1, x.shape[1], -1, -1)
