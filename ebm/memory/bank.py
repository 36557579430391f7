"""Bank: one embedding for each example of the data."""

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks, distributed
from ebm.memory.memory import Memory


class Bank(Memory):
    """A unit vector for each example, moved toward its latest embedding and renormalized.

    `bank.rows[indices]` are the memories of a batch. It starts as noise on the sphere, the
    same on every process. An example has to be in a batch once at most.

    Args:
        size: Number of examples.
        dim: Dimension of the embeddings.
        momentum: Share of the memory that stays.

    Reference: Wu et al., "Unsupervised feature learning via non-parametric instance
    discrimination", CVPR 2018, arXiv:1805.01978, section 3.
    """

    rows: Tensor

    def __init__(self, size: int, dim: int, *, momentum: float = 0.5) -> None:
        super().__init__()
        self.size = checks.count("size", size, least=2)
        self.dim = checks.count("dim", dim)
        self.momentum = checks.fraction("momentum", momentum)
        noise = torch.randn(size, dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("rows", functional.normalize(noise, dim=-1))

    def others(self, indices: Tensor, count: int) -> Tensor:
        """Return memories of other examples, (batch, count, dim), drawn with replacement.

        Raises:
            ValueError: An index lies outside the bank.
        """
        if indices.device.type == "cpu" and int(indices.max()) >= self.size:
            raise ValueError(
                f"indices must be below the size of the bank, {self.size}, got "
                f"{int(indices.max())}. Make Bank(size, dim) as large as the data."
            )
        shape = (len(indices), count)
        drawn = torch.randint(0, self.size - 1, shape, device=indices.device)
        return self.rows[drawn + (drawn >= indices[:, None])]  # all but the own, alike

    def write(self, indices: Tensor, embeddings: Tensor) -> None:
        """Move the memories of all processes' examples toward their embeddings."""
        indices = distributed.gather(indices)
        embeddings = distributed.gather(embeddings.detach()).to(self.rows.dtype)
        mixed = self.momentum * self.rows[indices] + (1 - self.momentum) * embeddings
        self.rows[indices] = functional.normalize(mixed, dim=-1)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.size}, {self.dim}, momentum={self.momentum:g}"
