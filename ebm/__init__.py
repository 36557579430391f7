"""Energy-based modeling on PyTorch: everything is an energy, and energies add."""

import importlib
from typing import TYPE_CHECKING, Any

from ebm import (
    energies,
    landscape,
    latent,
    memory,
    networks,
    samplers,
    terms,
    training,
    traits,
    views,
)
from ebm.energy import Energy, as_energy, frozen, mixture, score
from ebm.method import Method
from ebm.training import Divergence, Fault, History, fit, load, save_encoder
from ebm.traits import Reach

if TYPE_CHECKING:
    from ebm import benchmark, evaluation, testing, tour

__version__ = "0.1.0"

__all__ = [
    "Divergence",
    "Energy",
    "Fault",
    "History",
    "Method",
    "Reach",
    "as_energy",
    "energies",
    "fit",
    "frozen",
    "landscape",
    "latent",
    "load",
    "memory",
    "mixture",
    "networks",
    "samplers",
    "save_encoder",
    "score",
    "terms",
    "training",
    "traits",
    "views",
]


def __getattr__(name: str) -> Any:
    # These import hypothesis, scikit-learn or the methods: only when they are used.
    if name in {"benchmark", "evaluation", "testing", "tour"}:
        return importlib.import_module(f"ebm.{name}")
    raise AttributeError(f"module 'ebm' has no attribute {name!r}")
