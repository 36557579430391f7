"""Annealed importance sampling: log Z where nothing can be enumerated.

Move samples of a base with known density toward the model through
E_k = beta_k E - (1 - beta_k) log p_0, and weigh them on the way:

    log w = sum_k (beta_k+1 - beta_k) (-E - log p_0)(x_k),    log Z ~ log mean w

In expectation this is a lower bound of log Z. The same ladder run down from exact samples
of the model gives an upper bound, so that the two bracket the truth.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm import noise as _noise
from ebm.energy import Energy, as_energy
from ebm.evaluation.grid import values
from ebm.samplers import Sampler


@dataclass(frozen=True)
class Estimate:
    """An estimate of log Z, with what is needed to doubt it."""

    log_normalizer: float
    """The estimate; in expectation below log Z, or above it from `reverse_ais`."""
    error: float
    """Its standard error, by the spread of the weights."""
    effective: float
    """Number of equally weighted samples that the weights amount to."""
    log_weights: Tensor
    """Log weights, (samples,), float64."""


class Tempered(Energy):
    """beta E(x) - (1 - beta) log p_0(x): between the base and the model."""

    def __init__(self, energy: Energy, base: _noise.Noise, beta: float) -> None:
        super().__init__()
        self.energy, self.base, self.beta = energy, base, beta

    def forward(self, x: Tensor) -> Tensor:
        """Return the energy at this rung."""
        return self.beta * self.energy(x) - (1 - self.beta) * _noise.log_prob(self.base, x)


def ais(
    energy: Energy | Callable[[Tensor], Tensor],
    base: Any,
    sampler: Sampler,
    *,
    samples: int = 1_000,
    rungs: int | Sequence[float] = 200,
    transitions: int = 1,
    like: Tensor | None = None,
) -> Estimate:
    """Return an estimate of log Z of exp(-E), in expectation a lower bound.

    Randomness comes from torch's default generator, which the base draws from as well.

    Args:
        energy: The energy, x -> (batch,).
        base: Has `sample` and a normalized `log_prob`: a torch.distributions distribution
            or a target energy. It should be wider than the model.
        sampler: Leaves each rung invariant: `MALA`, `HMC` or `Gibbs`; a biased one biases
            the estimate.
        samples: Number of weighted samples.
        rungs: Number of steps from base to model, or the inverse temperatures themselves,
            rising from 0 to 1.
        transitions: Transitions of the sampler at each rung.
        like: A tensor whose dtype and device the samples get; torch's default if None.

    Reference: Neal, "Annealed importance sampling", Statistics and Computing 11(2), 2001.
    """
    checks.count("samples", samples)
    energy, base = as_energy(energy), _noise.as_noise(base)
    betas = _ladder(rungs)
    x = _noise.draw(base, samples, torch.empty(0) if like is None else like)
    log_weights = torch.zeros(samples, dtype=torch.float64, device=x.device)
    for before, after in itertools.pairwise(betas):
        if before > 0:
            x = sampler.move(Tempered(energy, base, before), x, transitions)
        log_weights += (after - before) * _gain(energy, base, x)
    return _estimate(log_weights)


def reverse_ais(
    energy: Energy | Callable[[Tensor], Tensor],
    base: Any,
    sampler: Sampler,
    x: Tensor,
    *,
    rungs: int | Sequence[float] = 200,
    transitions: int = 1,
) -> Estimate:
    """Return an estimate of log Z from exact samples of the model, an upper bound.

    Args:
        energy: The energy, x -> (batch,).
        base: Has `sample` and a normalized `log_prob`.
        sampler: Leaves each rung invariant and is reversible: `MALA`, `HMC`.
        x: Exact samples of the model, such as simulated data.
        rungs: As for `ais`.
        transitions: Transitions of the sampler at each rung.

    Reference: Burda, Grosse & Salakhutdinov, "Accurate and conservative estimates of MRF
    log-likelihood using reverse annealing", AISTATS 2015, arXiv:1412.8566.
    """
    energy, base = as_energy(energy), _noise.as_noise(base)
    betas = _ladder(rungs)[::-1]
    log_weights = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for before, after in itertools.pairwise(betas):
        if before < 1:
            x = sampler.move(Tempered(energy, base, before), x, transitions)
        log_weights += (after - before) * _gain(energy, base, x)
    down = _estimate(log_weights)
    return Estimate(-down.log_normalizer, down.error, down.effective, -log_weights)


def _gain(energy: Energy, base: _noise.Noise, x: Tensor) -> Tensor:
    with torch.no_grad():
        return -values(energy, x) - _noise.log_prob(base, x).double()


def _ladder(rungs: int | Sequence[float]) -> list[float]:
    if isinstance(rungs, int):
        checks.count("rungs", rungs)
        return [k / rungs for k in range(rungs + 1)]
    betas = [float(beta) for beta in rungs]
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or betas != sorted(betas):
        raise ValueError(f"rungs must rise from 0 to 1, got {betas}. Or give their number.")
    return betas


def _estimate(log_weights: Tensor) -> Estimate:
    n = len(log_weights)
    log_mean = float(torch.logsumexp(log_weights, 0)) - math.log(n)
    relative = torch.exp(log_weights - log_mean)  # mean 1
    error = float(relative.std() / math.sqrt(n)) if n > 1 else math.inf
    effective = float(relative.sum().square() / relative.square().sum())
    return Estimate(log_mean, error, effective, log_weights)
