"""Sparse coding: learning a dictionary.

Each example is rebuilt from few of many atoms. The code is inferred to the bottom of a convex
energy, the atoms take a gradient step at that code, and are brought back into the unit ball:
otherwise long atoms with small codes would make every reconstruction free.

    E(x, z) = |x - W z|^2 / 2 + sparsity_weight |z|_1        |w_k| <= 1
    F(x) = min_z E(x, z)        L = mean F, with z held constant

Reference: Olshausen & Field, "Emergence of simple-cell receptive field properties by
learning a sparse code for natural images", Nature 381, 1996; Mairal, Bach, Ponce & Sapiro,
"Online learning for matrix factorization and sparse coding", JMLR 11, 2010.
Differs: |z|_1 with exact inference; any optimizer moves the atoms.
"""

import torch
from torch import Tensor

from ebm import Method, checks
from ebm.latent.dictionary import SparseCode, into_unit_ball
from ebm.latent.inference import Inference
from ebm.shapes import Codes, Energies


class SparseCoding(Method):
    """A dictionary of atoms in the unit ball, and the energy of the best code over it.

    Args:
        atoms: The first atoms, (atoms, dim).
        sparsity_weight: Weight of |z|_1.
        inference: Finds the code; `CoordinateDescent()` if None.
    """

    def __init__(
        self,
        atoms: Tensor,
        *,
        sparsity_weight: float = 0.1,
        inference: Inference | None = None,
    ) -> None:
        super().__init__()
        self.code = SparseCode(atoms, sparsity_weight=sparsity_weight, inference=inference)
        self.after_step()

    @classmethod
    def example(
        cls, data: Tensor, *, atoms: int | None = None, sparsity_weight: float = 0.1
    ) -> "SparseCoding":
        """Return a small instance with random atoms for data of any shape."""
        dim = data[0].numel()
        first = torch.randn(2 * dim if atoms is None else checks.count("atoms", atoms), dim)
        first = first / first.norm(dim=1, keepdim=True)
        return cls(first, sparsity_weight=sparsity_weight)

    def infer(self, x: Tensor) -> Codes:
        """Return the codes, detached."""
        return self.code.infer(x.flatten(1))

    def encode(self, x: Tensor) -> Codes:
        """Return the codes, detached."""
        return self.infer(x)

    def energy(self, x: Tensor) -> Energies:
        """Return min_z E(x, z)."""
        return self.code.free_energy(x.flatten(1))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the two parts of the energy at the inferred code."""
        z = self.infer(x)
        return {
            "reconstruction": self.code.smooth(x.flatten(1), z),
            "sparsity": self.code.sparsity_weight * z.abs().sum(-1),
        }

    def after_step(self) -> None:
        """Bring the atoms back into the unit ball."""
        into_unit_ball(self.code.atoms)
