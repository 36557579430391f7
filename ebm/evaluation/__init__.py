"""Evaluation: what a trained representation or density is worth."""

from ebm.evaluation.collapse import Collapse, collapse
from ebm.evaluation.fine_tune import fine_tuned_accuracy
from ebm.energies.states import binary_states
from ebm.evaluation.knn import knn_accuracy
from ebm.evaluation.linear import linear_accuracy
from ebm.evaluation.spectrum import participation_ratio, rank_me, spectrum
from ebm.evaluation.sphere import alignment, mean_cosine, sphere_deviation, uniformity

__all__ = [
    "Collapse",
    "alignment",
    "collapse",
    "density",
    "fine_tuned_accuracy",
    "knn_accuracy",
    "linear_accuracy",
    "mean_cosine",
    "participation_ratio",
    "rank_me",
    "spectrum",
    "sphere_deviation",
    "uniformity",
]
