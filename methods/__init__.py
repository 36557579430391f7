"""Training methods, one file each; the folders are the map of the field."""

from methods.contrastive.adversarial import Adversarial
from methods.contrastive.contrastive_divergence import ContrastiveDivergence
from methods.contrastive.denoising_score_matching import DenoisingScoreMatching
from methods.joint_embedding.simclr import SimCLR
from methods.latent.autoencoder import Autoencoder
from methods.latent.k_means import KMeans
from methods.redundancy.vicreg import VICReg

__all__ = [
    "Adversarial",
    "Autoencoder",
    "ContrastiveDivergence",
    "DenoisingScoreMatching",
    "KMeans",
    "SimCLR",
    "VICReg",
]
