"""LISTA: learned inference of sparse codes.

ISTA needs many steps because its matrices know the dictionary but not the data. A network
with the form of a few steps of ISTA, trained on the exact codes, spends its few layers on
the codes that occur.

    z_1 = S_theta(W_e x)        z_{t+1} = S_theta(W_e x + S z_t)        z* = argmin_z E(x, z)
    E(x, z) = |x - W z|^2 / 2 + sparsity_weight |z|_1        F(x) <= E(x, z_T)
    L = mean code_weight |z* - z_T|^2 + energy_weight E(x, z_T)

Reference: Gregor & LeCun, "Learning fast approximations of sparse coding", ICML 2010.
Differs: Adam in place of plain gradient descent, one threshold for each atom.
"""

import copy

import torch
from torch import Tensor

from ebm import Method, checks
from ebm.latent.dictionary import SparseCode
from ebm.latent.unrolled import UnrolledISTA
from ebm.shapes import Codes, Energies


class LISTA(Method):
    """A network of a few layers that infers the codes of a fixed dictionary.

    Args:
        code: The energy of the codes; a frozen copy of it is kept.
        layers: Depth of the network.
        code_weight: Weight of the distance to the exact code.
        energy_weight: Weight of the energy at the network's code.
    """

    def __init__(
        self,
        code: SparseCode,
        *,
        layers: int = 3,
        code_weight: float = 1.0,
        energy_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.code = copy.deepcopy(code).requires_grad_(False)
        self.encoder = UnrolledISTA(code, layers)
        self.code_weight = checks.not_negative("code_weight", code_weight)
        self.energy_weight = checks.not_negative("energy_weight", energy_weight)

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        atoms: int | None = None,
        layers: int = 3,
        sparsity_weight: float = 0.1,
        code_weight: float = 1.0,
        energy_weight: float = 0.0,
    ) -> "LISTA":
        """Return a small instance with atoms drawn from the data."""
        rows = data.flatten(1)
        count = max(16, rows.shape[1]) if atoms is None else checks.count("atoms", atoms)
        first = rows[torch.randint(len(rows), (count,), device=rows.device)]
        first = first + 0.1 * torch.randn_like(first) * first.std()
        first = first / first.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return cls(
            SparseCode(first, sparsity_weight=sparsity_weight),
            layers=layers,
            code_weight=code_weight,
            energy_weight=energy_weight,
        )

    def encode(self, x: Tensor) -> Codes:
        """Return the network's codes."""
        return self.encoder(x.flatten(1))

    def energy(self, x: Tensor) -> Energies:
        """Return E at the network's code, above min_z E(x, z)."""
        return self.code(x.flatten(1), self.encode(x))

    def terms(self, x: Tensor, exact: Tensor | None = None) -> dict[str, Tensor]:
        """Return the distance to the exact code, and the energy where it has a weight.

        The exact codes are inferred at each step, unless they come with the data:
        `fit(method, (x, method.code.infer(x)))`.
        """
        rows, terms = x.flatten(1), {}
        z = self.encoder(rows)
        if self.code_weight:
            exact = self.code.infer(rows) if exact is None else exact
            terms["code"] = self.code_weight * (z - exact).square().sum(-1)
        if self.energy_weight:
            terms["energy"] = self.energy_weight * self.code(rows, z)
        return terms
