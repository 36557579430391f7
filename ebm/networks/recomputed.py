"""Recomputed: activation checkpointing of a part of a network."""

from typing import Any

from torch import Tensor, nn

from ebm.networks.recomputation import recomputed
from ebm.networks.transparent import transparent


class Recomputed(nn.Module):
    """A part of a network that keeps its input alone, and runs again in the backward pass.

    Wrap each block of a deep network: then the activations of one block are held at a time,
    beside the inputs of all. Batch norm is allowed, as batches stay whole: its running
    statistics move once. The price is one more forward pass.

        network.layers = nn.Sequential(*(Recomputed(block) for block in network.layers))

    Saved states are those of the network itself. Second derivatives do not pass.

    Reference: Chen, Xu, Zhang & Guestrin, "Training deep nets with sublinear memory cost",
    2016, arXiv:1604.06174.

    Args:
        network: Takes one tensor and returns one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        transparent(self)

    @property
    def features(self) -> Any:
        """Width of the output, if the network says it."""
        return getattr(self.network, "features", None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's output."""
        return recomputed(self.network, x)
