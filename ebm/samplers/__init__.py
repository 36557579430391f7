"""Samplers: frozen dataclasses of numbers that move configurations toward low energy."""

from ebm.samplers.annealed_langevin import AnnealedLangevin
from ebm.samplers.block_gibbs import BlockGibbs
from ebm.samplers.chain import Chain, chain
from ebm.samplers.gibbs import Gibbs
from ebm.samplers.gibbs_with_gradients import GibbsWithGradients
from ebm.samplers.hmc import HMC
from ebm.samplers.langevin import Langevin
from ebm.samplers.mala import MALA
from ebm.samplers.parallel_tempering import ParallelTempering
from ebm.samplers.sampler import Sampler, State
from ebm.samplers.underdamped_langevin import UnderdampedLangevin

__all__ = [
    "HMC",
    "MALA",
    "AnnealedLangevin",
    "BlockGibbs",
    "Chain",
    "Gibbs",
    "GibbsWithGradients",
    "Langevin",
    "ParallelTempering",
    "Sampler",
    "State",
    "UnderdampedLangevin",
    "chain",
]
