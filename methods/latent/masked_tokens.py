"""Masked tokens: the masked autoencoder of discrete sequences.

Some tokens of a sequence are replaced by a mask, which takes it off the set of real
sequences, and a network brings it back on: it gives each hidden token's distribution given
the rest. The energy asks this of every token in turn.

    L = mean over hidden tokens of -log p(x_i | rest)
    E(x) = sum_i -log p(x_i | all tokens but x_i), the pseudo-likelihood

Reference: Devlin, Chang, Lee & Toutanova, "BERT", NAACL 2019, arXiv:1810.04805; Salazar,
Liang, Nguyen & Kirchhoff, "Masked language model scoring", ACL 2020, arXiv:1910.14659 (E).
Differs: a hidden token is always replaced by the mask, never kept or exchanged.
"""

import torch
from torch import Tensor, nn

from ebm import Method, checks
from ebm.latent.masks import Masks
from ebm.networks import MLP
from ebm.shapes import Energies


class MaskedTokens(Method):
    """A network from partly hidden sequences to the logits of every token.

    Args:
        network: Maps (batch, length) tokens, of which `tokens` is the mask, to logits
            (batch, length, tokens).
        tokens: Size of the vocabulary; tokens are whole numbers below it.
        share: Share of the tokens that is hidden in a step.
    """

    def __init__(self, network: nn.Module, *, tokens: int, share: float = 0.15) -> None:
        super().__init__()
        self.network, self.tokens = network, checks.count("tokens", tokens, least=2)
        self.share = checks.fraction("share", share)

    @classmethod
    def example(
        cls, data: Tensor, *, tokens: int | None = None, share: float = 0.15
    ) -> "MaskedTokens":
        """Return a small instance for sequences (batch, length) of whole numbers."""
        tokens = int(data.max()) + 1 if tokens is None else tokens
        length, width = data.shape[1], 16
        network = nn.Sequential(
            nn.Embedding(tokens + 1, width),
            nn.Flatten(),
            MLP([length * width, 128, 128, length * tokens]),
            nn.Unflatten(1, (length, tokens)),
        )
        return cls(network, tokens=tokens, share=share)

    def energy(self, x: Tensor) -> Energies:
        """Return minus the pseudo log likelihood, each token hidden in turn."""
        self._check(x)
        losses = [
            self._losses(x, hidden[None].expand_as(x))
            for hidden in torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        ]
        return torch.stack(losses).sum(0)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the mean of -log p over the hidden tokens of each sequence."""
        self._check(x)
        hidden = Masks(self.share).draw(x.float()).bool()
        return {"masked": self._losses(x, hidden) / hidden.sum(1)}

    def _losses(self, x: Tensor, hidden: Tensor) -> Tensor:
        logits = self.network(torch.where(hidden, self.tokens, x))
        losses = nn.functional.cross_entropy(logits.mT, x, reduction="none")
        return (losses * hidden).sum(1)

    def _check(self, x: Tensor) -> None:
        if x.is_floating_point() or x.ndim != 2:
            raise TypeError(
                f"x must be sequences (batch, length) of whole numbers, got shape "
                f"{tuple(x.shape)} of {x.dtype}. Call .long() on tokens."
            )
