"""Small networks that fit the shape of given data: what examples are made of."""

from torch import Tensor, nn

from ebm.networks.conv_net import ConvNet
from ebm.networks.mlp import MLP


def encoder_for(x: Tensor | tuple[Tensor, ...], *, features: int = 128) -> nn.Module:
    """Return a small encoder for data like x, or like the first of x, with `features`.

    Pictures `(n, channels, height, width)` get a convolutional net, all else an MLP.
    """
    x = x[0] if isinstance(x, tuple) else x
    if x.ndim == 4:
        return ConvNet(x.shape[1], features)
    network = MLP([x[0].numel(), 128, 128, features], activation=nn.ReLU)
    return network if x.ndim == 2 else _flat(network)


def decoder_for(x: Tensor, *, features: int) -> nn.Module:
    """Return a small decoder from a representation to data like x."""
    return nn.Sequential(MLP([features, 128, 128, x[0].numel()]), nn.Unflatten(1, x.shape[1:]))


def features_of(encoder: nn.Module) -> int:
    """Return how many features the encoder says that it gives.

    Raises:
        ValueError: It does not say.
    """
    features = getattr(encoder, "features", None)
    if not isinstance(features, int):
        raise ValueError(
            f"encoder must have an attribute `features`, got {type(encoder).__name__} without. "
            "Set encoder.features to the width of its output."
        )
    return features


def _flat(network: MLP) -> nn.Module:
    encoder = nn.Sequential(nn.Flatten(), network)
    encoder.features = network.features  # pyright: ignore[reportArgumentType]
    return encoder
