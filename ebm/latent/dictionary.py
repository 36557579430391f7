"""Dictionaries: atoms in the unit ball, and the energy of a sparse code over them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ebm import checks
from ebm.latent.coordinate_descent import CoordinateDescent
from ebm.latent.energy import LatentEnergy
from ebm.latent.inference import Inference
from ebm.latent.proximal import soft_threshold
from ebm.shapes import Codes, Energies, Points


@torch.no_grad()
def into_unit_ball(atoms: Tensor) -> None:
    """Shrink the rows longer than 1 to length 1, in place.

    Without it c W and z / c, c > 1, rebuild x at less cost: the sparsity would be free.
    """
    atoms /= atoms.norm(dim=-1, keepdim=True).clamp(min=1)


class SparseCode(LatentEnergy):
    """E(x, z) = |x - W z|^2 / 2 + sparsity_weight * |z|_1.

    The atoms, columns of W, are the rows of `atoms`, (atoms, dim).

    Args:
        atoms: The first atoms; they are trained where the energy is.
        sparsity_weight: Weight of |z|_1.
        inference: Finds the code; `CoordinateDescent()` if None.

    Reference: Olshausen & Field, "Emergence of simple-cell receptive field properties by
    learning a sparse code for natural images", Nature 381, 1996.
    """

    def __init__(
        self,
        atoms: Tensor,
        *,
        sparsity_weight: float = 0.1,
        inference: Inference | None = None,
    ) -> None:
        super().__init__(CoordinateDescent() if inference is None else inference)
        self.atoms = nn.Parameter(atoms.detach().clone())
        self.sparsity_weight = checks.positive("sparsity_weight", sparsity_weight)

    def forward(self, x: Points, z: Codes) -> Energies:
        """Return E(x, z)."""
        return self.smooth(x, z) + self.sparsity_weight * z.abs().sum(-1)

    def start(self, x: Points) -> Codes:
        """Return codes of zeros."""
        checks.features(x, self.atoms.shape[1], self.atoms)
        return x.new_zeros(len(x), len(self.atoms))

    def smooth(self, x: Points, z: Codes) -> Energies:
        """Return |x - W z|^2 / 2."""
        return (x - z @ self.atoms).square().sum(-1) / 2

    def proximal(self, z: Tensor, step_size: float | Tensor) -> Tensor:
        """Return the soft threshold of z."""
        return soft_threshold(z, self.sparsity_weight * step_size)

    @torch.no_grad()
    def curvature(self, x: Tensor | None = None) -> Tensor:
        """Return the largest eigenvalue of W^T W, a little enlarged against rounding."""
        atoms = self.atoms
        gram = atoms @ atoms.T if len(atoms) <= atoms.shape[1] else atoms.T @ atoms
        return torch.linalg.eigvalsh(gram)[-1] * (1 + 1e-6)

    def proximal_step(self, x: Points) -> Callable[[Tensor], Tensor]:
        """Return z -> soft threshold of (z - W^T (W z - x) / L), two products at most."""
        count, dim = self.atoms.shape
        curvature = self.curvature(x)
        threshold = float(self.sparsity_weight / curvature)
        down = self.atoms / curvature
        if 2 * dim < count:
            return lambda z: nn.functional.softshrink(
                torch.addmm(z, torch.addmm(x, z, self.atoms, alpha=-1), down.T), threshold
            )
        bias = x @ down.T
        turn = torch.eye(count, dtype=x.dtype, device=x.device) - self.atoms @ down.T
        return lambda z: nn.functional.softshrink(torch.addmm(bias, z, turn), threshold)

    def gap(self, x: Points, z: Codes) -> Energies:
        """Return the duality gap, a bound of E(x, z) - min_z E(x, z) from above."""
        residual = x - z @ self.atoms
        steepest = (residual @ self.atoms.T).abs().amax(-1)
        dual = residual * (self.sparsity_weight / steepest.clamp(min=1e-30)).clamp(max=1)[:, None]
        # (|x|^2 - |x - dual|^2) / 2 = dual (x - dual / 2): no cancellation.
        below = (dual * (x - dual / 2)).sum(-1)
        return residual.square().sum(-1) / 2 + self.sparsity_weight * z.abs().sum(-1) - below
