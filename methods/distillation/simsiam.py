"""SimSiam: BYOL without the teacher.

Each view predicts the embedding of the other, whose gradient is stopped. Collapse attains the
minimum, so the loss cannot tell of it: watch the deviation of z / |z|, near 1 / sqrt(D) when
all is well and 0 at collapse.

    E(x, y) = -cos(predictor(z_x), z_y),    z = projector(encoder(.))
    L = mean E(x, stop(y)) / 2 + mean E(y, stop(x)) / 2

Reference: Chen & He, "Exploring simple Siamese representation learning", CVPR 2021,
arXiv:2011.10566, eqs. 1 to 4.
Differs: in nothing; the predictor's constant learning rate is the caller's (`optimizer` may
return parameter groups).
"""

from torch import Tensor, nn

from ebm import Method, networks, terms
from ebm.shapes import Embeddings, Energies


class SimSiam(Method):
    """Predict the embedding of the other view, with its gradient stopped.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding; its output has batch norm without scale and shift.
        predictor: Maps the embedding of one view to that of the other; a bottleneck.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        predictor: nn.Module = nn.Identity(),
    ) -> None:
        super().__init__()
        self.encoder, self.projector, self.predictor = encoder, projector, predictor
        self.pair = terms.Cosine()

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 256,
        bottleneck: int = 128,
    ) -> "SimSiam":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        last = networks.BatchNorm(dim, affine=False)
        projector = networks.Projector([networks.features_of(encoder), 256, dim], last=last)
        return cls(encoder, projector, networks.Predictor(dim, bottleneck))

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding that is predicted."""
        return self.projector(self.encoder(x))

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of x's prediction and y's embedding."""
        return self.pair(self.predictor(self.embed(x)), self.embed(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return half the energies of both directions, the target's gradient stopped."""
        of_x, of_y = self.embed(x), self.embed(y)
        return {
            "x_to_y": self.pair(self.predictor(of_x), of_y.detach()) / 2,
            "y_to_x": self.pair(self.predictor(of_y), of_x.detach()) / 2,
        }
