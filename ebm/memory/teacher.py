"""Teacher: a network that follows another one slowly."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from ebm import checks
from ebm.memory.memory import Memory


class Teacher(Memory):
    """The running average of a student's parameters, called like the student.

    In `terms`, `teacher.stage(student)`: after the step the parameters move to
    momentum * teacher + (1 - momentum) * student. Outputs carry no gradient. In training its
    batch norm uses the statistics of its own batch, as the student's does.

    Args:
        student: The network to follow; a copy of it is the start.
        momentum: Share of the teacher that stays.
        buffers: Copy the student's buffers, such as running statistics, at each step; else
            the teacher keeps its own, from its own forward passes.

    Reference: Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017,
    arXiv:1703.01780.
    """

    def __init__(
        self, student: nn.Module, *, momentum: float = 0.996, buffers: bool = False
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(student).requires_grad_(False)
        self.momentum = checks.fraction("momentum", momentum)
        self.buffers_too = buffers

    def forward(self, *inputs: Tensor) -> Any:
        """Return the network's output, without a gradient."""
        with torch.no_grad():
            return self.network(*inputs)

    def write(self, student: nn.Module, momentum: float | None = None) -> None:
        """Move toward the student, at another momentum if one is given."""
        stay = self.momentum if momentum is None else momentum
        with torch.no_grad():
            for own, other in zip(self.network.parameters(), student.parameters(), strict=True):
                own.lerp_(other, 1 - stay)
            if self.buffers_too:
                for own, other in zip(self.network.buffers(), student.buffers(), strict=True):
                    own.copy_(other)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"momentum={self.momentum:g}, buffers={self.buffers_too}"


def rising(momentum: float, progress: float) -> float:
    """Return the momentum on its way to 1, along half a cosine.

    `progress` is the share of the run that is done.
    """
    return 1 - (1 - momentum) * (1 + math.cos(math.pi * progress)) / 2
