"""Small networks that fit the shape of given data: what examples are made of."""

from torch import Tensor, nn

from ebm.networks.conv_net import ConvNet
from ebm.networks.mlp import MLP


def encoder_for(x: Tensor, *, features: int = 128) -> nn.Module:
    """Return a small encoder for data like x, with attribute `features`.

    Pictures `(n, channels, height, width)` get a convolutional net, all else an MLP.
    """
    if x.ndim == 4:
        return ConvNet(x.shape[1], features)
    network = MLP([x[0].numel(), 128, 128, features], activation=nn.ReLU)
    return network if x.ndim == 2 else _flat(network)


def decoder_for(x: Tensor, *, features: int) -> nn.Module:
    """Return a small decoder from a representation to data like x."""
    return nn.Sequential(MLP([features, 128, 128, x[0].numel()]), nn.Unflatten(1, x.shape[1:]))


def _flat(network: MLP) -> nn.Module:
    encoder = nn.Sequential(nn.Flatten(), network)
    encoder.features = network.features  # pyright: ignore[reportArgumentType]
    return encoder
