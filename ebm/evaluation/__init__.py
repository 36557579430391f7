"""Evaluation: what a trained representation or density is worth."""

from ebm.evaluation.grid import Density, binary_states, by_enumeration, cells, density, on_grid
from ebm.evaluation.knn import knn_accuracy

__all__ = [
    "Density",
    "binary_states",
    "by_enumeration",
    "cells",
    "density",
    "knn_accuracy",
    "on_grid",
]
