"""A small vision transformer."""

import torch
from torch import nn

from ebm import checks
from ebm.shapes import Embeddings, Images


class ViT(nn.Module):
    """Patches as tokens, pre-norm transformer layers, the class token as representation.

    Positions are learned on the grid of `size` and interpolated for pictures of another size,
    such as small crops.

    Args:
        channels: Channels of the pictures.
        size: Height and width of the pictures.
        patch: Height and width of a patch; it divides the size.
        features: Width of the tokens.
        depth: Number of layers.
        heads: Attention heads; they divide the features.

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021,
    arXiv:2010.11929.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        patch: int = 4,
        features: int = 128,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        checks.count("channels", channels)
        checks.count("patch", patch)
        if size % patch:
            raise ValueError(
                f"size must be divisible by patch, got size={size} and patch={patch}. "
                "Choose a patch that divides the picture."
            )
        self.grid, self.features = size // patch, checks.count("features", features)
        self.patches = nn.Conv2d(channels, features, patch, stride=patch)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, features))
        self.first_position = nn.Parameter(0.02 * torch.randn(1, 1, features))
        self.positions = nn.Parameter(0.02 * torch.randn(1, features, self.grid, self.grid))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                features,
                heads,
                4 * features,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(features)

    def forward(self, x: Images) -> Embeddings:
        """Return the class token after the last layer.

        Raises:
            TypeError: The pictures are no floating-point numbers, or not of the network's dtype.
            ValueError: They have other channels, or the patch does not divide them.
        """
        checks.pictures(x, self.patches.in_channels, self.token)
        patch = self.patches.kernel_size[0]
        if x.shape[2] % patch or x.shape[3] % patch:
            raise ValueError(
                f"x must have sides divisible by patch={patch}, got shape {tuple(x.shape)}. "
                "Resize or crop the pictures."
            )
        tokens = self.patches(x)
        positions = self.positions
        if tokens.shape[2:] != positions.shape[2:]:
            positions = nn.functional.interpolate(
                positions, tokens.shape[2:], mode="bicubic", align_corners=False
            )
        tokens = (tokens + positions).flatten(2).mT
        first = (self.token + self.first_position).expand(len(x), -1, -1)
        tokens = torch.cat([first, tokens], dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens[:, 0])
