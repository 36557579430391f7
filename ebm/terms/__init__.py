"""Energies over joint embeddings: each states its normalization, its traits and its reach."""

from ebm.terms.cosine import Cosine
from ebm.terms.covariance import Covariance
from ebm.terms.cross_correlation import CrossCorrelation
from ebm.terms.info_nce import InfoNCE
from ebm.terms.invariance import Invariance
from ebm.terms.nt_xent import NTXent
from ebm.terms.reconstruction import Reconstruction
from ebm.terms.symmetric import Symmetric
from ebm.terms.variance import Variance

__all__ = [
    "Cosine",
    "Covariance",
    "CrossCorrelation",
    "InfoNCE",
    "Invariance",
    "NTXent",
    "Reconstruction",
    "Symmetric",
    "Variance",
]
