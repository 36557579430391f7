"""Evaluation: what a trained representation or density is worth."""

from ebm.energies.states import binary_states
from ebm.evaluation.ais import ais, reverse_ais
from ebm.evaluation.collapse import Collapse, collapse
from ebm.evaluation.diagnostics import effective_sample_size, split_r_hat
from ebm.evaluation.fine_tune import fine_tune, fine_tuned_accuracy
from ebm.evaluation.grid import Density, by_enumeration, cells, density, on_grid
from ebm.evaluation.knn import knn_accuracy
from ebm.evaluation.linear import linear_accuracy
from ebm.evaluation.online import Probed
from ebm.evaluation.ood import auroc
from ebm.evaluation.spectrum import participation_ratio, rank_me, spectrum
from ebm.evaluation.sphere import alignment, mean_cosine, sphere_deviation, uniformity

__all__ = [
    "Collapse",
    "Density",
    "Probed",
    "ais",
    "alignment",
    "auroc",
    "binary_states",
    "by_enumeration",
    "cells",
    "collapse",
    "density",
    "effective_sample_size",
    "fine_tune",
    "fine_tuned_accuracy",
    "knn_accuracy",
    "linear_accuracy",
    "mean_cosine",
    "on_grid",
    "participation_ratio",
    "rank_me",
    "reverse_ais",
    "spectrum",
    "sphere_deviation",
    "split_r_hat",
    "uniformity",
]
