"""Evaluation: what a trained representation or density is worth."""

from ebm.evaluation.knn import knn_accuracy

__all__ = ["knn_accuracy"]
