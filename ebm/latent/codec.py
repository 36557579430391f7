"""An encoder and a decoder for given data, with a code between them."""

from torch import Tensor, nn

from ebm.networks import decoder_for, encoder_for


def codec_for(data: Tensor, code: int | None = None) -> tuple[nn.Module, nn.Module]:
    """Return a small encoder and decoder for points, sequences or images.

    Args:
        data: A few examples.
        code: Width of the code; half the dimensions, at most 16, if None.
    """
    code = max(1, min(16, data[0].numel() // 2)) if code is None else code
    return encoder_for(data, features=code), decoder_for(data, features=code)
