"""Samplers: frozen dataclasses of numbers that move configurations toward low energy."""

from ebm.samplers.chain import Chain, chain
from ebm.samplers.hmc import HMC
from ebm.samplers.langevin import Langevin
from ebm.samplers.mala import MALA
from ebm.samplers.sampler import Sampler, State

__all__ = ["HMC", "MALA", "Chain", "Langevin", "Sampler", "State", "chain"]
