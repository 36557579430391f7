"""SimCLR.

Two views of an example are pulled together and pushed away from all other views in the
batch, on the unit sphere. The batch is the contrast: its size matters, and so does the head,
whose output is compared and whose input is kept.

    E(x, y) = -cos(z_x, z_y) / T,    z = projector(encoder(.))
    L = mean over the 2N views of  E(i, p(i)) + log sum_{k != i} exp(-E(i, k))

Reference: Chen, Kornblith, Norouzi & Hinton, "A simple framework for contrastive learning of
visual representations", ICML 2020, arXiv:2002.05709, eq. 1 and algorithm 1.
Differs: the two directions are averaged, as in the paper, where the authors' code adds them;
each view is a forward pass of its own, so that batch norm sees one view at a time.
"""

from torch import Tensor, nn

from ebm import Method, checks, networks, terms
from ebm.shapes import Embeddings, Energies


class SimCLR(Method):
    """The other view of the same example against all other views in the batch.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that is compared.
        temperature: Divides the cosines.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module = nn.Identity(),
        *,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.temperature = checks.positive("temperature", temperature)
        self.objective = terms.NTXent(temperature=temperature)
        self.pair = terms.Cosine() / temperature

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        temperature: float = 0.2,
    ) -> "SimCLR":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        features = networks.features_of(encoder)
        projector = networks.Projector([features, features, dim])
        return cls(encoder, projector, temperature=temperature)

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
