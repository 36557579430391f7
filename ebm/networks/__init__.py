"""Plain networks; sizes are constructor arguments and nothing else is decided here."""

from ebm.networks.mlp import MLP

__all__ = ["MLP"]
