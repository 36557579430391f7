"""Center: a running average of what the batches give."""

import torch
from torch import Tensor

from ebm import checks
from ebm.memory.memory import Memory


class Center(Memory):
    """value <- momentum * value + (1 - momentum) * staged, after the step.

    DINO averages the mean of its teacher's outputs, TiCo the second moment of its embeddings.
    What is staged has to be the same on every process: reduce it before.

    Args:
        shape: Shape of the value, which starts at zero.
        momentum: Share of the value that stays.
    """

    value: Tensor

    def __init__(self, *shape: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = checks.fraction("momentum", momentum)
        self.register_buffer("value", torch.zeros(shape))

    def write(self, value: Tensor) -> None:
        """Move toward the value."""
        self.value.lerp_(value.detach().to(self.value.dtype), 1 - self.momentum)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{', '.join(map(str, self.value.shape))}, momentum={self.momentum:g}"
