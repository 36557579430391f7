"""Instance discrimination, with a memory bank.

Every example is a class of its own, and its weight vector is the memory of its own embedding.
Which of N examples is this? The sum over N is replaced by a few memories of other examples
(noise-contrastive estimation), with the normalizer Z estimated once and kept.

    P(i | x) = exp(cos(z, m_i) / T) / Z,    z = projector(encoder(x)),    h = P / (P + K / N)
    L = mean -log h(i | x) - sum over K others k of log(1 - h(k | x))
    m_i <- normalize(momentum m_i + (1 - momentum) z), after the step

Reference: Wu, Xiong, Yu & Lin, "Unsupervised feature learning via non-parametric instance
discrimination", CVPR 2018, arXiv:1805.01978, eqs. 4 to 8.
Differs: the bank starts on the unit sphere, as in VISSL; negatives never are the example's
own memory (theirs may be); the proximal term of eq. 10, absent from the authors' code too, is
left out.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import Method, checks, networks, terms
from ebm.memory import Bank, Constant
from ebm.shapes import Embeddings, Energies, Labels


class InstanceDiscrimination(Method):
    """Each example against the memories of others; `terms` takes examples and indices.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is remembered.
        bank: Holds a memory for each example of the data.
        negatives: Memories of other examples that each example is set against.
        temperature: Divides the cosines.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        bank: Bank,
        negatives: int = 4096,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        self.encoder, self.projector, self.bank = encoder, projector, bank
        self.negatives = checks.count("negatives", negatives)
        self.objective = terms.InstanceContrast(bank.size, temperature=temperature)
        self.log_normalizer = Constant()
        self.pair = terms.Cosine() / temperature

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        negatives: int = 256,
        temperature: float = 0.07,
    ) -> "InstanceDiscrimination":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        # The constant Z fits embeddings that start out spread, not in a narrow cone.
        last = networks.BatchNorm(dim, affine=False)
        projector = networks.Projector([networks.features_of(encoder), dim], last=last)
        bank = Bank(len(data[0] if isinstance(data, tuple) else data), dim)
        return cls(encoder, projector, bank=bank, negatives=negatives, temperature=temperature)

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples with their indices, and one view of each."""
        from ebm import views

        x = data[0] if isinstance(data, tuple) else data
        return (x, torch.arange(len(x))), views.Single(views.pair(x).view)

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding that is remembered."""
        return functional.normalize(self.projector(self.encoder(x)), dim=-1)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of each pair's embeddings over the temperature."""
        return self.pair(self.embed(x), self.embed(y))

    def terms(self, x: Tensor, indices: Labels) -> dict[str, Tensor]:
        """Return the loss of each example; its memory moves after the step."""
        embeddings = self.embed(x)
        memories = self.bank.rows[indices]
        others = self.bank.others(indices, self.negatives)
        candidate = self.objective.log_normalizer(embeddings, memories, others)
        self.bank.stage(indices, embeddings)
        self.log_normalizer.stage(candidate)
        value = self.objective(embeddings, memories, others, self.log_normalizer(candidate))
        return {self.objective.name: value}
