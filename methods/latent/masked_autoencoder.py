"""Masked autoencoder.

Part of an example is hidden and rebuilt from the rest. Hiding moves an example off the data
and rebuilding moves it back on: the energy is how badly an example's parts predict one
another, which is low only where they belong together.

    E(x) = mean over masks m of |m (x - decoder(encoder((1 - m) x, m)))|^2
    L = the same with one random mask for each example

Reference: He, Chen, Xie, Li, Dollar & Girshick, "Masked autoencoders are scalable vision
learners", CVPR 2022, arXiv:2111.06377 (the loss on hidden patches only).
Differs: hidden entries are set to 0 and the mask is given to the encoder, which sees all
positions; not normalized by patch. `energy` takes the mean over masks that hide each entry
equally often, so that the surface has no noise.
"""

import torch
from torch import Tensor, nn

from ebm import Method
from ebm.latent.masks import Masks
from ebm.networks import MLP, decoder_for
from ebm.shapes import Configurations, Energies


class MaskedAutoencoder(Method):
    """An encoder that sees part of an example, and a decoder that rebuilds the rest.

    Args:
        encoder: Maps (batch, 2 * entries), the visible entries and the mask, to codes.
        decoder: Maps codes to tensors shaped like the examples.
        masks: Which entries are hidden.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, masks: Masks = Masks()) -> None:  # noqa: B008 - frozen
        super().__init__()
        self.encoder, self.decoder, self.masks = encoder, decoder, masks

    @classmethod
    def example(
        cls, data: Tensor, *, code: int = 64, share: float = 0.5, patch: int | None = None
    ) -> "MaskedAutoencoder":
        """Return a small instance for points or images; patches are a quarter of the width."""
        features = data[0].numel()
        if patch is None:
            patch = max(1, data.shape[-1] // 4) if data.ndim == 4 else 1
        encoder = MLP([2 * features, 256, code])
        return cls(encoder, decoder_for(data, features=code), masks=Masks(share, patch))

    def encode(self, x: Configurations) -> Tensor:
        """Return the codes of examples of which nothing is hidden."""
        return self._encode(x, torch.zeros_like(x))

    def energy(self, x: Configurations) -> Energies:
        """Return the mean error of hidden entries, over masks that cover the example."""
        errors = [self._error(x, mask) for mask in self.masks.cover(x)]
        return torch.stack(errors).mean(0)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the error of hidden entries under random masks."""
        return {"masked": self._error(x, self.masks.draw(x))}

    def _encode(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(torch.cat([(x * (1 - mask)).flatten(1), mask.flatten(1)], 1))

    def _error(self, x: Tensor, mask: Tensor) -> Tensor:
        rebuilt = self.decoder(self._encode(x, mask))
        return (mask * (x - rebuilt)).flatten(1).square().sum(-1)
