"""An encoder and a decoder for given data, with a code between them."""

from torch import Tensor, nn

from ebm.networks import MLP, decoder_for


def codec_for(
    data: Tensor, code: int | None = None, *, encoded: int | None = None
) -> tuple[nn.Module, nn.Module]:
    """Return a small encoder and decoder for data of any shape.

    Both are smooth and without batch norm, so that each example has an energy of its own.

    Args:
        data: A few examples.
        code: Width of the code; half the dimensions, at most 16, if None.
        encoded: Width of the encoder's output; that of the code if None.
    """
    features = data[0].numel()
    code = max(1, min(16, features // 2)) if code is None else code
    layers = MLP([features, 128, 128, code if encoded is None else encoded])
    return nn.Sequential(nn.Flatten(), layers), decoder_for(data, features=code)
