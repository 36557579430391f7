"""PIRL: pretext-invariant representations.

A jigsaw of an image should be recognized as that image: both the image and its shuffled
patches are set against a memory bank, whose memory of the image is the positive of both.

    L = weight * NCE(g(patches), m_i) + (1 - weight) * NCE(f(x), m_i)
    f = projector(encoder(x)),    g = mixer([patch_projector(encoder(patch)) for each patch])

NCE is that of instance discrimination, with one normalizer for both terms. Only f moves the
memory.

Reference: Misra & van der Maaten, "Self-supervised learning of pretext-invariant
representations", CVPR 2020, arXiv:1912.01991, eqs. 4 and 5.
Differs: the bank starts on the unit sphere and negatives never are the example's own memory;
the normalizer is estimated on the patches' branch, which comes first, as in VISSL.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import Method, checks, networks, terms
from ebm.memory import Bank, Constant
from ebm.shapes import Embeddings, Energies, Labels


class PIRL(Method):
    """An example and its patches against the bank; `terms` takes both, and indices.

    Args:
        encoder: Makes the representation that is kept, of examples and of patches.
        projector: Makes the example's embedding.
        patch_projector: Makes the embedding of one patch.
        mixer: Makes one embedding of the concatenated patches.
        bank: Holds a memory for each example of the data.
        negatives: Memories of other examples that each example is set against.
        temperature: Divides the cosines.
        patches_weight: Weight of the patches' term; the example's has the rest.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        patch_projector: nn.Module,
        mixer: nn.Module,
        *,
        bank: Bank,
        negatives: int = 32_000,
        temperature: float = 0.07,
        patches_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.patch_projector, self.mixer = patch_projector, mixer
        self.bank = bank
        self.negatives = checks.count("negatives", negatives)
        self.patches_weight = checks.fraction("patches_weight", patches_weight)
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
        patches_weight: float = 0.5,
    ) -> "PIRL":
        """Return a small instance: four patches of pictures, one noisy copy of points."""
        x = data[0] if isinstance(data, tuple) else data
        encoder = encoder or networks.encoder_for(x)
        features, patches = networks.features_of(encoder), 4 if x.ndim == 4 else 1
        # The constant Z fits embeddings that start out spread, not in a narrow cone.
        norms = [networks.BatchNorm(dim, affine=False) for _ in range(2)]
        return cls(
            encoder,
            networks.Projector([features, dim], last=norms[0]),
            nn.Linear(features, dim),
            networks.Projector([patches * dim, dim], last=norms[1]),
            bank=Bank(len(x), dim),
            negatives=negatives,
            temperature=temperature,
            patches_weight=patches_weight,
        )

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return the examples with their indices, and views that add the patches."""
        from ebm import views

        x = data[0] if isinstance(data, tuple) else data
        view = views.pair(x).view
        patches = views.Jigsaw(2) if x.ndim == 4 else views.Patch(view)
        return (x, torch.arange(len(x))), views.Pair(view, patches)

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding of examples."""
        return functional.normalize(self.projector(self.encoder(x)), dim=-1)

    def embed_patches(self, patches: Tensor) -> Embeddings:
        """Return one embedding of the patches, (batch, patches, *shape), of each example."""
        each = self.patch_projector(self.encoder(patches.flatten(0, 1)))
        return functional.normalize(self.mixer(each.view(len(patches), -1)), dim=-1)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of each pair's embeddings over the temperature."""
        return self.pair(self.embed(x), self.embed(y))

    def terms(self, x: Tensor, patches: Tensor, indices: Labels) -> dict[str, Tensor]:
        """Return the weighted losses of patches and examples; memories move after the step."""
        of_patches, of_examples = self.embed_patches(patches), self.embed(x)
        memories = self.bank.rows[indices]
        others = self.bank.others(indices, self.negatives)
        candidate = self.objective.log_normalizer(of_patches, memories, others)
        self.bank.stage(indices, of_examples)
        self.log_normalizer.stage(candidate)
        constant, share = self.log_normalizer(candidate), self.patches_weight
        return {
            "patches": share * self.objective(of_patches, memories, others, constant),
            "examples": (1 - share) * self.objective(of_examples, memories, others, constant),
        }
