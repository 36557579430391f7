"""Target propagation: a latent-variable energy with an encoder that learns to infer.

The latent is inferred by minimizing the energy, starting from the encoder's guess; the
inferred latent is then the target of both networks. The decoder learns to rebuild from it,
the encoder to predict it, and no gradient passes through the latent.

    E(x, z) = |x - decoder(z)|^2 + code_weight |z|^2 + prediction_weight |z - encoder(x)|^2
    z = argmin E from encoder(x)        F(x) = E(x, z)        L = mean F, z held constant

As prediction_weight grows z is tied to the encoder, and the plain autoencoder is its limit.

Reference: LeCun, "Learning processes in an asymmetric threshold network", 1986; Canziani &
LeCun, NYU deep learning course, 2021, lecture 08-3.
Differs: |z|^2 as the latent's regularizer.
"""

from torch import Tensor, nn

from ebm import Method
from ebm.latent.codec import codec_for
from ebm.latent.inference import Inference
from ebm.latent.predictive import PredictiveCode
from ebm.shapes import Configurations, Energies


class TargetPropagation(Method):
    """A decoder, and an encoder trained to the inferred code.

    Args:
        encoder: Maps examples to predictions of the code.
        decoder: Maps codes to tensors shaped like the examples.
        code_weight: Weight of |z|^2.
        prediction_weight: Weight of the distance between code and prediction.
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
        super().__init__()
        self.latent = PredictiveCode(
            encoder,
            decoder,
            code_weight=code_weight,
            prediction_weight=prediction_weight,
            inference=inference,
        )

    @classmethod
    def example(
        cls,
        data: Tensor,
        *,
        code: int | None = None,
        code_weight: float = 0.01,
        prediction_weight: float = 0.1,
    ) -> "TargetPropagation":
        """Return a small instance for points or images; `code` is the width of the code."""
        encoder, decoder = codec_for(data, code)
        return cls(encoder, decoder, code_weight=code_weight, prediction_weight=prediction_weight)

    @property
    def encoder(self) -> nn.Module:
        """The network that predicts codes."""
        return self.latent.encoder

    def encode(self, x: Configurations) -> Tensor:
        """Return the predicted codes."""
        return self.latent.encoder(x)

    def infer(self, x: Configurations) -> Tensor:
        """Return the inferred codes, detached."""
        return self.latent.infer(x)

    def energy(self, x: Configurations) -> Energies:
        """Return the energy at the inferred code."""
        return self.latent.free_energy(x)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the three parts of the energy at the inferred code."""
        return self.latent.parts(x, self.infer(x))
