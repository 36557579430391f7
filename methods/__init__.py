"""Training methods, one file each; the folders are the map of the field."""

from methods.clustering.deep_cluster import DeepCluster
from methods.clustering.sela import SeLA
from methods.clustering.swav import SwAV
from methods.contrastive.adversarial import Adversarial
from methods.contrastive.boltzmann_machine import BoltzmannMachine
from methods.contrastive.conditional_noise_contrastive_estimation import (
    ConditionalNoiseContrastiveEstimation,
)
from methods.contrastive.contrastive_divergence import ContrastiveDivergence
from methods.contrastive.denoising_score_matching import DenoisingScoreMatching
from methods.contrastive.flow_contrastive_estimation import FlowContrastiveEstimation
from methods.contrastive.joint_energy import JointEnergy
from methods.contrastive.maximum_likelihood import MaximumLikelihood
from methods.contrastive.minimum_probability_flow import MinimumProbabilityFlow
from methods.contrastive.noise_contrastive_estimation import NoiseContrastiveEstimation
from methods.contrastive.persistent_contrastive_divergence import PersistentContrastiveDivergence
from methods.contrastive.ranking_noise_contrastive_estimation import (
    RankingNoiseContrastiveEstimation,
)
from methods.contrastive.ratio_matching import RatioMatching
from methods.contrastive.restricted_boltzmann_machine import RestrictedBoltzmannMachine
from methods.contrastive.score_matching import ScoreMatching
from methods.contrastive.sliced_score_matching import SlicedScoreMatching
from methods.distillation.byol import BYOL
from methods.distillation.dino import DINO
from methods.distillation.simsiam import SimSiam
from methods.joint_embedding.dcl import DCL
from methods.joint_embedding.instance_discrimination import InstanceDiscrimination
from methods.joint_embedding.moco import MoCo
from methods.joint_embedding.moco_v3 import MoCoV3
from methods.joint_embedding.pirl import PIRL
from methods.joint_embedding.simclr import SimCLR
from methods.latent.autoencoder import Autoencoder
from methods.latent.contractive_autoencoder import ContractiveAutoencoder
from methods.latent.denoising_autoencoder import DenoisingAutoencoder
from methods.latent.gaussian_mixture import GaussianMixture
from methods.latent.gradient_mixture import GradientMixture
from methods.latent.k_means import KMeans
from methods.latent.lista import LISTA
from methods.latent.masked_autoencoder import MaskedAutoencoder
from methods.latent.masked_tokens import MaskedTokens
from methods.latent.mini_batch_k_means import MiniBatchKMeans
from methods.latent.pca import PCA
from methods.latent.predictive_sparse_decomposition import PredictiveSparseDecomposition
from methods.latent.probabilistic_pca import ProbabilisticPCA
from methods.latent.sparse_autoencoder import SparseAutoencoder
from methods.latent.sparse_coding import SparseCoding
from methods.latent.target_propagation import TargetPropagation
from methods.latent.variational_autoencoder import VariationalAutoencoder
from methods.redundancy.barlow_twins import BarlowTwins
from methods.redundancy.tico import TiCo
from methods.redundancy.vicreg import VICReg
from methods.redundancy.w_mse import WMSE

__all__ = [
    "BYOL",
    "DCL",
    "DINO",
    "LISTA",
    "PCA",
    "PIRL",
    "WMSE",
    "Adversarial",
    "Autoencoder",
    "BarlowTwins",
    "BoltzmannMachine",
    "ConditionalNoiseContrastiveEstimation",
    "ContractiveAutoencoder",
    "ContrastiveDivergence",
    "DeepCluster",
    "DenoisingAutoencoder",
    "DenoisingScoreMatching",
    "FlowContrastiveEstimation",
    "GaussianMixture",
    "GradientMixture",
    "InstanceDiscrimination",
    "JointEnergy",
    "KMeans",
    "MaskedAutoencoder",
    "MaskedTokens",
    "MaximumLikelihood",
    "MiniBatchKMeans",
    "MinimumProbabilityFlow",
    "MoCo",
    "MoCoV3",
    "NoiseContrastiveEstimation",
    "PersistentContrastiveDivergence",
    "PredictiveSparseDecomposition",
    "ProbabilisticPCA",
    "RankingNoiseContrastiveEstimation",
    "RatioMatching",
    "RestrictedBoltzmannMachine",
    "ScoreMatching",
    "SeLA",
    "SimCLR",
    "SimSiam",
    "SlicedScoreMatching",
    "SparseAutoencoder",
    "SparseCoding",
    "SwAV",
    "TargetPropagation",
    "TiCo",
    "VICReg",
    "VariationalAutoencoder",
]
