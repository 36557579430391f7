"""Queue: the latest embeddings, first in, first out."""

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks, distributed
from ebm.memory.memory import Memory


class Queue(Memory):
    """A ring of the latest embeddings of all processes: negatives beyond the batch.

    `rows` is read in `terms`; what is staged there enters after the step, so that no positive
    is among its own negatives. It starts as noise on the sphere, the same on every process.

    Args:
        size: Number of embeddings held.
        dim: Their dimension.

    Reference: He et al., "Momentum contrast", CVPR 2020, arXiv:1911.05722, algorithm 1.
    """

    rows: Tensor
    cursor: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size, self.dim = checks.count("size", size), checks.count("dim", dim)
        noise = torch.randn(size, dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("rows", functional.normalize(noise, dim=-1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.long))

    def write(self, embeddings: Tensor) -> None:
        """Replace the oldest embeddings by those of all processes.

        Raises:
            ValueError: There are more of them than places.
        """
        embeddings = distributed.gather(embeddings.detach()).to(self.rows.dtype)
        if len(embeddings) > self.size:
            raise ValueError(
                f"size must be at least the batch, got size={self.size} and {len(embeddings)} "
                "embeddings. Make Queue(size, dim) larger or batch_size smaller."
            )
        place = torch.arange(len(embeddings), device=self.rows.device)
        self.rows[(self.cursor + place) % self.size] = embeddings
        self.cursor.add_(len(embeddings)).remainder_(self.size)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.size}, {self.dim}"
