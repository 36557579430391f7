"""Energies with a latent: E(x, z), rules that infer z, and the free energy F(x)."""

from ebm.latent.amortized import Amortized
from ebm.latent.closed_form import ClosedForm
from ebm.latent.coordinate_descent import CoordinateDescent
from ebm.latent.descent import LBFGS, Adam, Descent
from ebm.latent.dictionary import SparseCode
from ebm.latent.energy import LatentEnergy
from ebm.latent.finite import Draws, Enumeration, Finite, Grid
from ebm.latent.free_energy import FreeEnergy, soft_minimum, variational_bound
from ebm.latent.inference import Inference, Inferred
from ebm.latent.langevin import Langevin
from ebm.latent.masks import Masks
from ebm.latent.mixtures import Diagonal, Full, Spherical
from ebm.latent.penalties import L1, KLSparsity, TopK, contraction
from ebm.latent.predictive import PredictiveCode, PredictiveSparseCode, TanhEncoder
from ebm.latent.proximal import ProximalDescent, soft_threshold
from ebm.latent.unrolled import UnrolledISTA

__all__ = [
    "L1",
    "LBFGS",
    "Adam",
    "Amortized",
    "ClosedForm",
    "CoordinateDescent",
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
    "KLSparsity",
    "Langevin",
    "LatentEnergy",
    "Masks",
    "PredictiveCode",
    "PredictiveSparseCode",
    "ProximalDescent",
    "SparseCode",
    "Spherical",
    "TanhEncoder",
    "TopK",
    "UnrolledISTA",
    "contraction",
    "soft_minimum",
    "soft_threshold",
    "variational_bound",
]
