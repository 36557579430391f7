"""Prototypes: directions to which embeddings are compared."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks
from ebm.shapes import Embeddings


class Prototypes(nn.Module):
    """The cosines of an embedding to learned directions, (batch, count).

    Rows and prototypes are both divided by their norm, so that scores lie in [-1, 1]; the
    layer is DINO's last one with its gain frozen at 1, and SwAV's prototypes.

    Args:
        features: Dimension of the embeddings.
        count: Number of prototypes.
    """

    def __init__(self, features: int, count: int) -> None:
        super().__init__()
        checks.count("features", features)
        self.features = checks.count("count", count)
        self.weight = nn.Parameter(functional.normalize(torch.randn(count, features), dim=-1))

    def forward(self, x: Tensor) -> Embeddings:
        """Return the cosine of each embedding to each prototype."""
        return functional.normalize(x, dim=-1) @ functional.normalize(self.weight, dim=-1).mT

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.weight.shape[1]}, {self.features}"
