"""Plain networks; sizes are constructor arguments and nothing else is decided here."""

from ebm.networks.batch_norm import BatchNorm
from ebm.networks.conv_net import ConvNet
from ebm.networks.convolutional import Convolutional
from ebm.networks.for_data import decoder_for, encoder_for, features_of
from ebm.networks.micro_batched import MicroBatched
from ebm.networks.mlp import MLP
from ebm.networks.projector import Predictor, Projector
from ebm.networks.prototypes import Prototypes
from ebm.networks.recomputed import Recomputed
from ebm.networks.resnet import ResNet18
from ebm.networks.vit import ViT

__all__ = [
    "MLP",
    "BatchNorm",
    "ConvNet",
    "Convolutional",
    "MicroBatched",
    "Predictor",
    "Projector",
    "Prototypes",
    "Recomputed",
    "ResNet18",
    "ViT",
    "decoder_for",
    "encoder_for",
    "features_of",
]
