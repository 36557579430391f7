"""Training: the one loop, its data, its history and its checkpoints."""

from ebm.training.checkpoint import load, save_encoder
from ebm.training.divergence import Divergence
from ebm.training.fit import fit
from ebm.training.history import History

__all__ = ["Divergence", "History", "fit", "load", "save_encoder"]
