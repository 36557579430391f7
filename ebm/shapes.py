"""The shape vocabulary: names for tensors, so that a signature reads as words.

The only file with shape strings. The tests enforce these with jaxtyping's import hook.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Energies = Float[Tensor, " batch"]
"""One energy per example."""

Scalar = Float[Tensor, ""]
"""One number for the batch as a whole."""

Values = Float[Tensor, "*batch"]
"""What an energy may return: `(batch,)`, or `()` for an energy of the batch as a whole."""

Configurations = Float[Tensor, "batch *shape"]
"""Points, images or sequences: any shape behind the batch."""

Points = Float[Tensor, "batch dim"]
"""Vectors."""

Embeddings = Float[Tensor, "batch dim"]
"""Vectors that an encoder made."""

Codes = Float[Tensor, "batch code"]
"""Latents that are vectors, one per example."""

Images = Float[Tensor, "batch channels height width"]
"""Pictures, channels first."""

Matrix = Float[Tensor, "rows columns"]
"""A matrix whose axes are named where it is used."""

Labels = Int[Tensor, " batch"]
"""Class or sample indices."""

Accepted = Bool[Tensor, " batch"]
"""Which proposals a sampler accepted."""
