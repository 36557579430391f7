"""Energies over joint embeddings: each states its normalization, its traits and its reach."""

from ebm.terms.alignment import Alignment
from ebm.terms.cosine import Cosine
from ebm.terms.covariance import Covariance
from ebm.terms.cross_correlation import CrossCorrelation
from ebm.terms.decoupled import Decoupled
from ebm.terms.distillation import Distillation
from ebm.terms.info_nce import InfoNCE
from ebm.terms.instance_contrast import InstanceContrast
from ebm.terms.invariance import Invariance
from ebm.terms.margin import MarginLoss
from ebm.terms.nt_xent import NTXent
from ebm.terms.reconstruction import Reconstruction
from ebm.terms.sinkhorn import sinkhorn
from ebm.terms.swapped_prediction import SwappedPrediction
from ebm.terms.symmetric import Symmetric
from ebm.terms.transformation_covariance import TransformationCovariance
from ebm.terms.triplet import Triplet
from ebm.terms.uniformity import Uniformity
from ebm.terms.variance import Variance
from ebm.terms.whitening import Whitening

__all__ = [
    "Alignment",
    "Cosine",
    "Covariance",
    "CrossCorrelation",
    "Decoupled",
    "Distillation",
    "InfoNCE",
    "InstanceContrast",
    "Invariance",
    "MarginLoss",
    "NTXent",
    "Reconstruction",
    "SwappedPrediction",
    "Symmetric",
    "TransformationCovariance",
    "Triplet",
    "Uniformity",
    "Variance",
    "Whitening",
    "sinkhorn",
]
