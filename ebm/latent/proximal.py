"""Proximal descent, for energies that are a smooth part and a simple one in z.

    E(x, z) = smooth(x, z) + simple(z)        z <- prox(z - d smooth / dz / L)

The energy offers `smooth(x, z)`, `proximal(z, step_size)` (the prox of step_size * simple),
and `curvature(x)`, a bound L of the smooth part's second derivative. It may offer
`proximal_step(x)`, the whole step as one fast function of z, and `gap(x, z)`, a bound of
E(x, z) - min_z E(x, z).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import evaluating, score, without_parameters
from ebm.latent.inference import Inference, Inferred, starting

CACHE_BYTES = 2**19
DEVICE_BYTES = 2**28


def soft_threshold(u: Tensor, threshold: float | Tensor) -> Tensor:
    """Return sign(u) * max(|u| - threshold, 0), the proximal map of threshold * |u|."""
    return u - u.clamp(-threshold, threshold)  # pyright: ignore[reportArgumentType, reportCallIssue]


@dataclass(frozen=True, eq=False)
class ProximalDescent(Inference):
    """ISTA, FISTA, and FISTA with restarts, batched; stops at the duality gap.

    Args:
        steps: The most steps taken.
        accelerate: Add Nesterov's momentum (FISTA); without it the energy falls at each
            step (ISTA), with it only over many.
        restart: Drop the momentum of an example when it points uphill.
        tolerance: Gap, in units of |x|^2, at which an example has converged; 0 takes all
            the steps.
        check_every: Steps between looks at the gap, each a wait for the device.
        start: Rule that finds where iterations begin; the energy's own start if None.

    Reference: Beck & Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear
    inverse problems", SIAM Journal on Imaging Sciences 2(1), 2009; O'Donoghue & Candes,
    "Adaptive restart for accelerated gradient schemes", 2015, arXiv:1204.3982.
    """

    steps: int = 1_000
    accelerate: bool = True
    restart: bool = True
    tolerance: float = 1e-4
    check_every: int = 10
    start: Inference | None = None

    def __post_init__(self) -> None:
        checks.count("steps", self.steps)
        checks.count("check_every", self.check_every)
        checks.not_negative("tolerance", self.tolerance)

    def solve(self, energy: Any, x: Tensor, z: Tensor | None = None) -> Inferred:
        """Return the latents with their gaps, never above the energy of their start.

        Raises:
            TypeError: The energy offers no smooth and simple part.
        """
        for name in ("smooth", "proximal", "curvature"):
            if not hasattr(energy, name):
                raise TypeError(
                    f"energy must offer {name} for proximal descent, got "
                    f"{type(energy).__name__}. Use Descent, or define {name} on it."
                )
        z, x = starting(energy, self.start, x, z), x.detach()
        # Chunks that stay in a processor's cache halve the time; a GPU wants large ones.
        chunk = CACHE_BYTES if z.device.type == "cpu" else DEVICE_BYTES
        count = max(1, chunk // max(1, z[:1].nbytes))
        with evaluating(energy), without_parameters(energy), torch.no_grad():
            parts = [
                self._solve(energy, *rows)
                for rows in zip(x.split(count), z.split(count), strict=True)
            ]
            first, least = z, energy(x, z)
            z = torch.cat([part for part, _ in parts]) if parts else z
            gap = torch.cat([part for _, part in parts]) if parts else x.new_zeros(0)
            values = energy(x, z)
            # Momentum may end a short run above its start.
            worse = (values > least).view(-1, *[1] * (z.ndim - 1))
            z, values = torch.where(worse, first, z), torch.minimum(values, least)
        converged = gap <= self.tolerance * _size(x)
        return Inferred(z, values, converged, gap if hasattr(energy, "gap") else None)

    def _solve(self, energy: Any, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        found, gaps = z.clone(), _gap(energy, x, z)
        rows = torch.arange(len(x), device=x.device)
        step = _step(energy, x)
        ahead, age = z, z.new_ones(len(z), *[1] * (z.ndim - 1))
        for count in range(1, self.steps + 1):
            moved = step(ahead)
            if self.accelerate:
                older = (1 + (1 + 4 * age.square()).sqrt()) / 2
                if self.restart:
                    uphill = _inner(ahead - moved, moved - z) > 0
                    older = torch.where(uphill.view_as(older), torch.ones_like(older), older)
                    age = torch.where(uphill.view_as(older), torch.ones_like(older), age)
                ahead, age = z + (1 + (age - 1) / older) * (moved - z), older
            else:
                ahead = moved
            z = moved
            if count == self.steps or (count % self.check_every == 0 and self.tolerance > 0):
                gap = _gap(energy, x, z)
                going = gap > self.tolerance * _size(x)
                found[rows], gaps[rows] = z, gap
                if count == self.steps or not bool(going.any()):
                    break
                if int(going.sum()) < 0.8 * len(going):
                    rows, x, z = rows[going], x[going], z[going]
                    ahead, age = ahead[going], age[going]
                    step = _step(energy, x)
        return found, gaps


def _step(energy: Any, x: Tensor) -> Callable[[Tensor], Tensor]:
    if hasattr(energy, "proximal_step"):
        return energy.proximal_step(x)
    curvature = energy.curvature(x)

    def step(z: Tensor) -> Tensor:
        gradient = -score(lambda z: energy.smooth(x, z), z)
        return energy.proximal(z - gradient / curvature, 1 / curvature)

    return step


def _gap(energy: Any, x: Tensor, z: Tensor) -> Tensor:
    return energy.gap(x, z) if hasattr(energy, "gap") else x.new_full((len(x),), math.inf)


def _size(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(-1)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(-1)
