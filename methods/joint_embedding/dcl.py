"""DCL: decoupled contrastive learning.

SimCLR's gradient shrinks where the positive is easy, because the positive sits in its own
denominator. Taken out of it, small batches learn as well as large ones.

    E(x, y) = -cos(z_x, z_y) / T,    z = projector(encoder(.))
    L = mean over the 2N views of  w_i E(i, p(i)) + log sum_{k not in {i, p(i)}} exp(-E(i, k))

with w = 1, or in DCLW w_i = 2 - N softmax_i(cos(z_x, z_y) / spread).

Reference: Yeh, Hong, Hsu, Liu, Chen & LeCun, "Decoupled contrastive learning", ECCV 2022,
arXiv:2110.06848, eqs. 5 to 7.
Differs: embeddings are normalized here and both directions are averaged, which the authors'
code leaves to the caller; the weights w carry no gradient, and their mean is taken over the
batch of all processes.
"""

from torch import Tensor, nn

from ebm import Method, networks, terms
from ebm.shapes import Embeddings, Energies


class DCL(Method):
    """The other view of the same example against all other examples, and not against itself.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is compared.
        temperature: Divides the cosines.
        spread: Temperature of the positives' weights (DCLW); None is no weight.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        temperature: float = 0.1,
        spread: float | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.objective = terms.Decoupled(temperature=temperature, spread=spread)
        self.pair = terms.Cosine() / temperature

    @classmethod
    def weighted(
        cls,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        temperature: float = 0.1,
        spread: float = 0.5,
    ) -> "DCL":
        """Return DCLW: hard positives weigh more."""
        return cls(encoder, projector, temperature=temperature, spread=spread)

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        temperature: float = 0.2,
        spread: float | None = None,
    ) -> "DCL":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        projector = networks.Projector([features, features, dim])
        return cls(encoder, projector, temperature=temperature, spread=spread)

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Embeddings:
        """Return the embedding that is compared."""
        return self.projector(self.encoder(x))

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return minus the cosine of each pair's embeddings over the temperature."""
        return self.pair(self.embed(x), self.embed(y))

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the loss of each pair of views."""
        return self.objective.parts(self.embed(x), self.embed(y))
