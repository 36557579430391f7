"""Energies with a latent: E(x, z), rules that infer z, and the free energy F(x)."""

from ebm.latent.amortized import Amortized
from ebm.latent.closed_form import ClosedForm
from ebm.latent.descent import LBFGS, Adam, Descent
from ebm.latent.dictionary import SparseCode
from ebm.latent.energy import LatentEnergy
from ebm.latent.finite import Draws, Enumeration, Finite, Grid
from ebm.latent.free_energy import FreeEnergy, soft_minimum
from ebm.latent.inference import Inference, Inferred
from ebm.latent.langevin import Langevin
from ebm.latent.mixtures import Diagonal, Full, Spherical
from ebm.latent.proximal import ProximalDescent, soft_threshold

__all__ = [
    "LBFGS",
    "Adam",
    "Amortized",
    "ClosedForm",
    "Descent",
    "Diagonal",
    "Draws",
    "Enumeration",
    "Finite",
    "FreeEnergy",
    "Full",
    "Grid",
    "Inference",
    "Inferred",
    "Langevin",
    "LatentEnergy",
    "ProximalDescent",
    "SparseCode",
    "Spherical",
    "soft_minimum",
    "soft_threshold",
]
