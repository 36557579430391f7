"""Have the chains mixed? Split R-hat and effective sample size of a number along chains.

The formulas are those of the package arviz-stats.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ebm import checks


def split_r_hat(chains: Tensor) -> float:
    """Return split R-hat: near 1 when halves of all chains agree, below 1.01 is good.

    Chains that never move give 1 if they stand in one place, and infinity otherwise.

    Args:
        chains: A number along each chain, (steps, chains), such as `chain(...).energies`.

    Raises:
        ValueError: It is no record of numbers, or they are not finite.

    Reference: Gelman et al., "Bayesian Data Analysis", 3rd ed., 2013, section 11.4; Vehtari
    et al., Bayesian Analysis 16(2), 2021, arXiv:1903.08008, eq. 1-4 (without ranks).
    """
    chains = _record(chains)
    if _stands_still(chains):
        return 1.0 if bool((chains == chains[0, 0]).all()) else math.inf
    return float(_arviz().rhat(chains.numpy(), chain_axis=1, draw_axis=0, method="split"))


def effective_sample_size(chains: Tensor) -> float:
    """Return how many independent draws the chains are worth for the mean of the number.

    Chains that never move are worth as much as they have records.

    Args:
        chains: A number along each chain, (steps, chains).

    Raises:
        ValueError: It is no record of numbers, or they are not finite.

    Reference: Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7(4), 1992;
    Vehtari et al., Bayesian Analysis 16(2), 2021, arXiv:1903.08008, eq. 10-13.
    """
    chains = _record(chains)
    if _stands_still(chains):
        return float(chains.numel())
    return float(_arviz().ess(chains.numpy(), chain_axis=1, draw_axis=0, method="mean"))


def _arviz() -> Any:
    from arviz_stats.base import array_stats  # it imports scipy's statistics: only when used

    return array_stats


def _stands_still(chains: Tensor) -> bool:
    half = len(chains) // 2
    halves = torch.cat([chains[:half], chains[-half:]], dim=1)
    return bool((halves == halves[0]).all())


def _record(chains: Tensor) -> Tensor:
    checks.configurations("chains", chains)
    if chains.ndim != 2 or len(chains) < 4:
        raise ValueError(
            f"chains must have shape (steps, chains) with at least 4 steps, got "
            f"{tuple(chains.shape)}. Record one number for each chain and step."
        )
    if not bool(chains.isfinite().all()):
        raise ValueError("chains must be finite, got NaN or infinity. Lower the step size.")
    return chains.detach().double().cpu()
