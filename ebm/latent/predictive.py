"""Codes that are drawn toward an encoder's prediction."""

import torch
from torch import Tensor, nn

from ebm import checks
from ebm.latent.amortized import Amortized
from ebm.latent.descent import Adam, Descent
from ebm.latent.energy import LatentEnergy
from ebm.latent.inference import Inference
from ebm.latent.proximal import ProximalDescent, soft_threshold
from ebm.shapes import Codes, Configurations, Energies, Points
from ebm.terms import Reconstruction


class PredictiveSparseCode(LatentEnergy):
    """E(x, z) = |x - W z|^2 + sparsity_weight |z|_1 + prediction_weight |z - encoder(x)|^2.

    Without the halves of `SparseCode`. Inference starts at the prediction.

    Args:
        atoms: The first atoms, (atoms, dim).
        encoder: Predicts the code, (batch, dim) -> (batch, atoms).
        sparsity_weight: Weight of |z|_1.
        prediction_weight: Weight of the distance to the prediction.
        inference: Finds the code; 20 steps of `ProximalDescent` if None.
    """

    def __init__(
        self,
        atoms: Tensor,
        encoder: nn.Module,
        *,
        sparsity_weight: float = 0.5,
        prediction_weight: float = 1.0,
        inference: Inference | None = None,
    ) -> None:
        super().__init__(ProximalDescent(20, tolerance=0.0) if inference is None else inference)
        self.atoms, self.encoder = nn.Parameter(atoms.detach().clone()), encoder
        self.sparsity_weight = checks.positive("sparsity_weight", sparsity_weight)
        self.prediction_weight = checks.not_negative("prediction_weight", prediction_weight)

    def parts(self, x: Points, z: Codes) -> dict[str, Tensor]:
        """Return the three parts."""
        return {
            "reconstruction": (x - z @ self.atoms).square().sum(-1),
            "sparsity": self.sparsity_weight * z.abs().sum(-1),
            "prediction": self.prediction_weight * (z - self.encoder(x)).square().sum(-1),
        }

    def forward(self, x: Points, z: Codes) -> Energies:
        """Return E(x, z)."""
        return sum(self.parts(x, z).values(), start=x.new_zeros(len(x)))

    def start(self, x: Points) -> Codes:
        """Return the predictions."""
        return self.encoder(x)

    def smooth(self, x: Points, z: Codes) -> Energies:
        """Return all but the sparsity."""
        parts = self.parts(x, z)
        return parts["reconstruction"] + parts["prediction"]

    def proximal(self, z: Tensor, step_size: float | Tensor) -> Tensor:
        """Return the soft threshold of z."""
        return soft_threshold(z, self.sparsity_weight * step_size)

    @torch.no_grad()
    def curvature(self, x: Tensor | None = None) -> Tensor:
        """Return 2 (largest eigenvalue of W^T W + prediction_weight), a little enlarged."""
        largest = torch.linalg.matrix_norm(self.atoms, 2).square()
        return 2 * (largest + self.prediction_weight) * (1 + 1e-6)


class TanhEncoder(nn.Module):
    """f(x) = G tanh(V x + b), G a factor for each entry of the code."""

    def __init__(self, dim: int, code: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, code)
        self.gain = nn.Parameter(torch.ones(code))

    def forward(self, x: Points) -> Codes:
        """Return the predicted codes."""
        checks.features(x, self.linear.in_features, self.gain)
        return self.gain * self.linear(x).tanh()


class PredictiveCode(LatentEnergy):
    """E(x, z) = |x - decoder(z)|^2 + code_weight |z|^2 + prediction_weight |z - encoder(x)|^2.

    Args:
        encoder: Predicts the code.
        decoder: Maps codes to tensors shaped like the examples.
        code_weight: Weight of |z|^2.
        prediction_weight: Weight of the distance to the prediction.
        inference: Finds the code; 20 steps of Adam from the prediction if None.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        code_weight: float = 0.01,
        prediction_weight: float = 0.1,
        inference: Inference | None = None,
    ) -> None:
        super().__init__(
            Descent(Adam(0.1), steps=20, start=Amortized(encoder))
            if inference is None
            else inference
        )
        self.encoder, self.decoder = encoder, decoder
        self.reconstruction = Reconstruction()
        self.code_weight = checks.not_negative("code_weight", code_weight)
        self.prediction_weight = checks.not_negative("prediction_weight", prediction_weight)

    def parts(self, x: Configurations, z: Codes) -> dict[str, Tensor]:
        """Return the three parts."""
        return {
            "reconstruction": self.reconstruction(x, self.decoder(z)),
            "code": self.code_weight * z.square().sum(-1),
            "prediction": self.prediction_weight * (z - self.encoder(x)).square().sum(-1),
        }

    def forward(self, x: Configurations, z: Codes) -> Energies:
        """Return E(x, z)."""
        return sum(self.parts(x, z).values(), start=x.new_zeros(len(x)))

    def start(self, x: Configurations) -> Codes:
        """Return the predictions."""
        return self.encoder(x)
