"""Training: the one loop, its data, its history and its checkpoints."""

from ebm.training.alarm import Alarm
from ebm.training.divergence import Divergence
from ebm.training.fault import Fault
from ebm.training.fit import fit
from ebm.training.history import History
from ebm.training.parameter_groups import parameter_groups
from ebm.training.restore import load, save_encoder
from ebm.training.schedule import warmup_cosine

__all__ = [
    "Alarm",
    "Divergence",
    "Fault",
    "History",
    "fit",
    "load",
    "parameter_groups",
    "save_encoder",
    "warmup_cosine",
]
