"""Plain networks; sizes are constructor arguments and nothing else is decided here."""

from ebm.networks.batch_norm import BatchNorm
from ebm.networks.conv_net import ConvNet
from ebm.networks.convolutional import Convolutional
from ebm.networks.for_data import decoder_for, encoder_for
from ebm.networks.mlp import MLP
from ebm.networks.projector import Predictor, Projector

__all__ = [
    "MLP",
    "BatchNorm",
    "ConvNet",
    "Convolutional",
    "Predictor",
    "Projector",
    "decoder_for",
    "encoder_for",
]
