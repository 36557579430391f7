"""An energy of images made of a convolutional network."""

from collections.abc import Sequence

from ebm import networks
from ebm.energy import Energy
from ebm.shapes import Configurations, Energies


class Convolutional(Energy):
    """E(x) is the output of a smooth convolutional network without batch norm.

    Args:
        channels: Channels of the images.
        size: Height and width of the images, in pixels.
        widths: Channels of the convolutions; each halves the image.
        spectral_norm: Divide each weight by its largest singular value.
    """

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        *,
        widths: Sequence[int] = (32, 64, 128),
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.network = networks.Convolutional(
            channels, size, 1, widths=widths, spectral_norm=spectral_norm
        )

    def forward(self, x: Configurations) -> Energies:
        """Return the energy of each image.

        Raises:
            ValueError: The images have another shape than the network was made for.
        """
        if tuple(x.shape[1:]) != self.network.shape:
            shape = ", ".join(map(str, self.network.shape))
            raise ValueError(
                f"x must have shape (batch, {shape}), got {tuple(x.shape)}. "
                "Make energies.Convolutional(channels, size) for these images."
            )
        return self.network(x).squeeze(-1)
