"""Constant: a number that the first step sets."""

import torch
from torch import Tensor

from ebm.memory.memory import Memory


class Constant(Memory):
    """A number that the first step determines and that stays: a normalizer.

    `constant(candidate)` is the number once it is known and the candidate before; the first
    staged one is kept. It has to be the same on every process.
    """

    value: Tensor
    known: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))
        self.register_buffer("known", torch.zeros((), dtype=torch.bool))

    def forward(self, candidate: Tensor) -> Tensor:
        """Return the number, or the candidate where none is known."""
        return torch.where(self.known, self.value.to(candidate.dtype), candidate)

    def write(self, value: Tensor) -> None:
        """Keep the first number."""
        self.value.copy_(self(value.detach().to(self.value.dtype)))
        self.known.fill_(True)
