"""Unrolled inference: a few proximal steps with learned matrices, as a network."""

import torch
from torch import Tensor, nn

from ebm import checks
from ebm.latent.dictionary import SparseCode
from ebm.latent.proximal import soft_threshold
from ebm.shapes import Codes, Points


class UnrolledISTA(nn.Module):
    """z_1 = S(W_e x), z_{t+1} = S(W_e x + S z_t), S(u) the soft threshold at theta.

    The matrices are those of ISTA at first, W_e = W^T / L, S = I - W^T W / L and
    theta = sparsity_weight / L, so that untrained layers are steps of ISTA. They are shared
    by the layers; theta has one entry for each atom.

    Args:
        code: The energy whose inference is learned; it is not changed.
        layers: Number of soft thresholds, at least 1.

    Reference: Gregor & LeCun, "Learning fast approximations of sparse coding", ICML 2010.
    """

    @torch.no_grad()
    def __init__(self, code: SparseCode, layers: int) -> None:
        super().__init__()
        self.layers = checks.count("layers", layers)
        atoms, curvature = code.atoms.detach(), code.curvature()
        unit = torch.eye(len(atoms), dtype=atoms.dtype, device=atoms.device)
        self.encoder = nn.Parameter(atoms / curvature)
        self.turn = nn.Parameter(unit - atoms @ atoms.T / curvature)
        self.threshold = nn.Parameter((code.sparsity_weight / curvature).expand(len(atoms)).clone())

    def forward(self, x: Points) -> Codes:
        """Return the code after the last layer."""
        return self.every_layer(x)[-1]

    def every_layer(self, x: Points) -> list[Tensor]:
        """Return the code after each layer."""
        checks.features(x, self.encoder.shape[1], self.encoder)
        pushed = x @ self.encoder.T
        threshold = self.threshold.clamp(min=0)
        codes = [soft_threshold(pushed, threshold)]
        for _ in range(self.layers - 1):
            codes.append(soft_threshold(torch.addmm(pushed, codes[-1], self.turn.T), threshold))
        return codes
