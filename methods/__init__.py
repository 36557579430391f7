"""Training methods, one file each; the folders are the map of the field."""

from methods.contrastive.contrastive_divergence import ContrastiveDivergence

__all__ = ["ContrastiveDivergence"]
