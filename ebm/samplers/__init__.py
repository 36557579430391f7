"""Samplers: frozen dataclasses of numbers that move configurations toward low energy."""

from ebm.samplers.langevin import Langevin
from ebm.samplers.sampler import Sampler, State

__all__ = ["Langevin", "Sampler", "State"]
