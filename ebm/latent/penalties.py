"""What keeps codes small in volume: sparsity, and contraction of the encoder."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ebm import checks, distributed
from ebm.energy import Energy
from ebm.shapes import Codes, Configurations, Energies, Scalar
from ebm.traits import Reach


class L1(Energy):
    """E(z) = |z|_1."""

    def forward(self, z: Codes) -> Energies:
        """Return the sum of absolute values."""
        return z.abs().sum(-1)


class KLSparsity(Energy):
    """E = sum_j KL(rate | mean activity of unit j), for codes between 0 and 1.

    The mean is over the whole batch of all processes, so this is an energy of the batch.

    Args:
        rate: Wanted mean activity of each unit.

    Reference: Ng, "Sparse autoencoder", CS294A lecture notes, Stanford, 2011.
    """

    reach = Reach.STATISTICS

    def __init__(self, rate: float = 0.05) -> None:
        super().__init__()
        self.rate = checks.fraction("rate", rate)

    def forward(self, z: Codes) -> Scalar:
        """Return the divergence, summed over units."""
        activity = distributed.total(z.mean(0)) / distributed.world()
        # The logs are torch's clamped ones, as in binary cross-entropy.
        wanted = torch.full_like(activity, self.rate)
        own = nn.functional.binary_cross_entropy(wanted, wanted, reduction="sum")
        return nn.functional.binary_cross_entropy(activity, wanted, reduction="sum") - own


class TopK(nn.Module):
    """Keeps the largest entries of each code and sets the others to zero.

    Args:
        count: Entries kept.

    Reference: Makhzani & Frey, "k-sparse autoencoders", ICLR 2014, arXiv:1312.5663.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = checks.count("count", count)

    def forward(self, z: Codes) -> Codes:
        """Return the sparse codes; gradients pass through the kept entries.

        Raises:
            ValueError: The codes are narrower than the entries to keep.
        """
        if self.count > z.shape[-1]:
            raise ValueError(
                f"count must be at most the width of the code, {z.shape[-1]}, got "
                f"count={self.count}. Keep fewer entries."
            )
        kept = z.topk(self.count, dim=-1)
        return torch.zeros_like(z).scatter(-1, kept.indices, kept.values)


def contraction(encoder: Callable[[Tensor], Tensor], x: Configurations) -> Energies:
    """Return |dz / dx|^2, the squared Frobenius norm of the encoder's Jacobian.

    It takes one backward pass for each entry of the code.
    """
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        z = encoder(x)
        norms = [
            torch.autograd.grad(column.sum(), x, create_graph=True)[0].flatten(1).square().sum(-1)
            for column in z.flatten(1).unbind(-1)
        ]
    return torch.stack(norms).sum(0)
