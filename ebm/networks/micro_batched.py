"""MicroBatched: large batches in the memory of small ones, with exact gradients."""

from typing import Any

from torch import Tensor, nn

from ebm import checks
from ebm.networks.batch_norm import BatchNorm
from ebm.networks.recomputation import recomputed
from ebm.networks.transparent import transparent


class MicroBatched(nn.Module):
    """A network that takes its batch in pieces, and keeps the activations of one at a time.

    The batch is embedded without a graph, the terms are differentiated at the embeddings, and
    each piece is then run again and differentiated on its own. Terms see the whole batch:
    the gradient is that of the plain step, for contrasts and statistics too. The price is
    one more forward pass.

        encoder = networks.MicroBatched(networks.ViT(...), 256)
        ebm.fit(methods.SimCLR(encoder, projector), data, batch_size=4096)

    Saved states are those of the network itself, so that a run may go on with other pieces
    or without any. What needs statistics of the batch, such as a projector with batch norm,
    stays outside. Second derivatives do not pass.

    Reference: Gao, Zhang, Han & Callan, "Scaling deep contrastive learning batch size under
    memory limited setup", RepL4NLP 2021, arXiv:2101.06983.

    Args:
        network: Takes `(batch, ...)` and returns one row per example, independent of the rest.
        size: Rows of a piece, on each process.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, checks.count("size", size)
        self._refuse_batch_norm()
        transparent(self)

    @property
    def features(self) -> Any:
        """Width of the output, if the network says it."""
        return getattr(self.network, "features", None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's output.

        Raises:
            ValueError: The network depends on the batch as a whole.
        """
        self._refuse_batch_norm()
        before = {name: b._version for name, b in self.network.named_buffers()}
        out = recomputed(self.network, x, self.size)
        for name, buffer in self.network.named_buffers():
            if self.training and buffer._version != before.get(name):
                raise ValueError(
                    f"network must not write buffers in its forward pass, got a change of {name}: "
                    "each piece would see another network. Put what writes it outside of "
                    "MicroBatched."
                )
        return out

    def _refuse_batch_norm(self) -> None:
        for name, module in self.network.named_modules():
            kinds = (BatchNorm, nn.modules.batchnorm._BatchNorm)
            if isinstance(module, kinds) and module.training:
                raise ValueError(
                    f"network must not need statistics of the batch, got "
                    f"{type(module).__name__} at {name or 'its top'}: pieces have others. Use "
                    "LayerNorm or GroupNorm, or networks.Recomputed, which keeps batches whole."
                )

    def extra_repr(self) -> str:
        """Return the size of a piece."""
        return f"size={self.size}"
