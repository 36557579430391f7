"""Out of distribution: do the energies tell foreign examples from familiar ones?"""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm.energy import Energy
from ebm.evaluation.grid import values


def auroc(energy: Energy | Callable[[Tensor], Tensor], familiar: Tensor, foreign: Tensor) -> float:
    """Return the chance that a foreign example has the higher energy: 0.5 is a guess.

    The energy is minus the log density up to a constant, so that this is the area under
    the ROC curve of the likelihood test.

    Args:
        energy: The energy, x -> (batch,).
        familiar: Examples like the training data, none of them trained on.
        foreign: Examples of another kind.
    """
    return ranked_above(values(energy, foreign), values(energy, familiar))


def ranked_above(high: Tensor, low: Tensor) -> float:
    """Return the share of pairs in which `high` is above `low`, ties counted half."""
    if not bool(high.isfinite().all() and low.isfinite().all()):
        raise ValueError("energies must be finite to be ranked, got NaN or infinity.")
    ordered, n = low.sort().values, len(low)
    below = torch.searchsorted(ordered, high, right=False)
    up_to = torch.searchsorted(ordered, high, right=True)
    return float((below + up_to).double().mean() / (2 * n))
