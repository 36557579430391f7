"""Predictive sparse decomposition.

Sparse coding whose codes can be predicted: the energy also measures how far the code is from
an encoder's output. The inferred code is the target of both the dictionary and the encoder;
once trained, the encoder alone gives the code, without a search.

    E(x, z) = |x - W z|^2 + sparsity_weight |z|_1 + prediction_weight |z - f(x)|^2
    f(x) = G tanh(V x + b)        z = argmin E from f(x)        L = mean E(x, z), z constant

Reference: Kavukcuoglu, Ranzato & LeCun, "Fast inference in sparse coding algorithms with
applications to object recognition", 2008, arXiv:1010.3467.
Differs: the code is found by proximal steps from the prediction in place of plain gradient
descent.
"""

import torch
from torch import Tensor, nn

from ebm import Method, checks
from ebm.latent.dictionary import into_unit_ball
from ebm.latent.inference import Inference
from ebm.latent.predictive import PredictiveSparseCode, TanhEncoder
from ebm.shapes import Codes, Configurations, Energies


class PredictiveSparseDecomposition(Method):
    """A dictionary in the unit ball, and an encoder that predicts its codes.

    Args:
        atoms: The first atoms, (atoms, dim).
        encoder: Predicts the code; G tanh(V x + b) if None.
        sparsity_weight: Weight of |z|_1.
        prediction_weight: Weight of the distance to the prediction.
        inference: Finds the code; 20 proximal steps if None.
    """

    def __init__(
        self,
        atoms: Tensor,
        encoder: nn.Module | None = None,
        *,
        sparsity_weight: float = 0.2,
        prediction_weight: float = 1.0,
        inference: Inference | None = None,
    ) -> None:
        super().__init__()
        count, dim = checks.configurations("atoms", atoms).shape
        if encoder is None:
            encoder = TanhEncoder(dim, count)
        self.code = PredictiveSparseCode(
            atoms,
            encoder,
            sparsity_weight=sparsity_weight,
            prediction_weight=prediction_weight,
            inference=inference,
        )
        self.after_step()

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        atoms: int | None = None,
        sparsity_weight: float = 0.2,
        prediction_weight: float = 1.0,
    ) -> "PredictiveSparseDecomposition":
        """Return a small instance with random atoms for data of any shape."""
        dim = data[0].numel()
        first = torch.randn(2 * dim if atoms is None else checks.count("atoms", atoms), dim)
        first = first / first.norm(dim=1, keepdim=True)
        return cls(first, sparsity_weight=sparsity_weight, prediction_weight=prediction_weight)

    @property
    def encoder(self) -> nn.Module:
        """The network that predicts codes."""
        return self.code.encoder

    def encode(self, x: Configurations) -> Codes:
        """Return the predicted codes."""
        return self.code.encoder(x.flatten(1))

    def infer(self, x: Configurations) -> Codes:
        """Return the inferred codes, detached."""
        return self.code.infer(x.flatten(1))

    def energy(self, x: Configurations) -> Energies:
        """Return E at the inferred code."""
        return self.code.free_energy(x.flatten(1))

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the three parts of the energy at the inferred code."""
        return self.code.parts(x.flatten(1), self.infer(x))

    def after_step(self) -> None:
        """Bring the atoms back into the unit ball."""
        into_unit_ball(self.code.atoms)
