"""Have the chains mixed? Split R-hat and effective sample size of a number along chains."""

import math

import torch
from torch import Tensor

from ebm import checks


def split_r_hat(chains: Tensor) -> float:
    """Return split R-hat: near 1 when halves of all chains agree, below 1.01 is good.

    Args:
        chains: A number along each chain, (steps, chains), such as `chain(...).energies`.

    Reference: Gelman et al., "Bayesian Data Analysis", 3rd ed., 2013, section 11.4; Vehtari
    et al., Bayesian Analysis 16(2), 2021, arXiv:1903.08008, eq. 1-4 (without ranks).
    """
    halves = _halves(chains)
    n = halves.shape[0]
    within = halves.var(dim=0).mean()
    between = n * halves.mean(dim=0).var()
    if within == 0:
        return 1.0 if between == 0 else math.inf
    return float((((n - 1) / n * within + between / n) / within).sqrt())


def effective_sample_size(chains: Tensor) -> float:
    """Return how many independent draws the chains are worth for the mean of the number.

    Autocorrelations of the split chains are summed in pairs while the sum of a pair is
    positive, and made non-increasing.

    Args:
        chains: A number along each chain, (steps, chains).

    Reference: Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7(4), 1992;
    Vehtari et al., Bayesian Analysis 16(2), 2021, arXiv:1903.08008, eq. 10-13.
    """
    halves = _halves(chains)
    n, m = halves.shape
    centered = halves - halves.mean(dim=0)
    length = 2 ** math.ceil(math.log2(2 * n))
    spectrum = torch.fft.rfft(centered, n=length, dim=0)
    products = torch.fft.irfft(spectrum.abs().square(), n=length, dim=0)[:n] / n
    within = (products[0] * n / (n - 1)).mean()
    variance = (n - 1) / n * within + halves.mean(dim=0).var()
    if variance == 0:
        return float(n * m)
    correlation = 1 - (within - (products * n / (n - 1)).mean(dim=1)) / variance
    correlation[0] = 1
    pairs = correlation[: n // 2 * 2].view(-1, 2).sum(-1)
    ends = (pairs < 0).nonzero()
    pairs = pairs[: int(ends[0])] if len(ends) else pairs
    total = -1 + 2 * float(pairs.cummin(dim=0).values.sum())
    return n * m / max(total, 1 / math.log10(n * m))  # alternating chains may be worth more


def _halves(chains: Tensor) -> Tensor:
    checks.configurations("chains", chains)
    if chains.ndim != 2 or len(chains) < 4:
        raise ValueError(
            f"chains must have shape (steps, chains) with at least 4 steps, got "
            f"{tuple(chains.shape)}. Record one number for each chain and step."
        )
    if not bool(chains.isfinite().all()):
        raise ValueError("chains must be finite, got NaN or infinity. Lower the step size.")
    chains = chains.detach().double()
    half = len(chains) // 2
    return torch.cat([chains[:half], chains[-half:]], dim=1)
