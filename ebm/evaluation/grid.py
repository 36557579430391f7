"""Exact densities: sums over a grid's cells in one or two dimensions, or over all states.

With points x_i that stand for a volume v each (a cell's area, or 1 for a state),

    log Z = log sum_i v exp(-E(x_i) / temperature),    log p(x_i) = -E(x_i) / temperature - log Z
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, as_energy, evaluating
from ebm.shapes import Energies

CHUNK = 2**16

Bounds = Sequence[tuple[float, float]]
"""(lowest, highest) of each coordinate."""


@dataclass(frozen=True)
class Density:
    """A density known at every point of its support."""

    points: Tensor
    """Where the density is known, (points, *shape)."""
    log_density: Tensor
    """Log density at the points, (points,), float64."""
    log_normalizer: float
    """log Z of exp(-E / temperature)."""
    volume: float
    """The volume that each point stands for."""
    energy: Energy
    """The energy behind it."""
    temperature: float
    """The temperature at which it was taken."""

    @property
    def probabilities(self) -> Tensor:
        """The mass of each point, (points,); it sums to 1."""
        return self.log_density.exp() * self.volume

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of x, (batch,), between the points too."""
        return -values(self.energy, x) / self.temperature - self.log_normalizer

    def negative_log_likelihood(self, x: Tensor) -> float:
        """Return the mean of -log p over the examples, in nats."""
        return -float(self.log_prob(x).mean())

    def kl(self, log_prob: Callable[[Tensor], Tensor]) -> float:
        """Return KL(true || this) in nats, the true log density given, by the same sum."""
        true = log_prob(self.points).double()
        terms = true.exp() * (true - self.log_density)
        return float(torch.where(true > -math.inf, terms, 0.0).sum() * self.volume)

    def total_variation(self, log_prob: Callable[[Tensor], Tensor]) -> float:
        """Return half the sum of |true - this|, the true log density given: 0 to 1."""
        true = log_prob(self.points).double().exp()
        return float((true - self.log_density.exp()).abs().sum() * self.volume / 2)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return independent samples of the points, exact up to the size of a cell."""
        edges = self.probabilities.cumsum(0)
        u = torch.rand(count, dtype=edges.dtype, device=edges.device, generator=generator)
        return self.points[torch.bucketize(u * edges[-1], edges[:-1], right=True)]


def on_grid(
    energy: Energy | Callable[[Tensor], Tensor],
    bounds: Bounds,
    *,
    resolution: int = 200,
    temperature: float = 1.0,
) -> Density:
    """Return the density of exp(-E / temperature) on a grid of one or two dimensions.

    It is exact once the bounds hold nearly all the mass and a cell is small against the
    energy's features.

    >>> import ebm
    >>> density = ebm.evaluation.on_grid(ebm.energies.Quadratic(), [(-8, 8), (-8, 8)])
    >>> round(density.log_normalizer, 6)  # log 2 pi
    1.837877

    Raises:
        ValueError: The bounds are no pairs (lowest, highest), or the energy is not one
            number per example.
    """
    points, volume = cells(bounds, resolution)
    return density(energy, points, volume=volume, temperature=temperature)


def by_enumeration(
    energy: Energy | Callable[[Tensor], Tensor],
    states: Tensor,
    *,
    temperature: float = 1.0,
) -> Density:
    """Return the probabilities of all states of a discrete space, such as `binary_states(16)`."""
    return density(energy, states, volume=1.0, temperature=temperature)


def density(
    energy: Energy | Callable[[Tensor], Tensor],
    points: Tensor,
    *,
    volume: float,
    temperature: float = 1.0,
) -> Density:
    """Return the density over points that stand for one volume each.

    Raises:
        ValueError: The energy is not one number per example, or not finite.
    """
    checks.positive("temperature", temperature)
    checks.positive("volume", volume)
    energy = as_energy(energy)
    log = -values(energy, points) / temperature
    log_normalizer = float(torch.logsumexp(log, 0)) + math.log(volume)
    if not math.isfinite(log_normalizer):
        raise ValueError(
            f"energy must have a finite normalizer on the points, got log Z={log_normalizer}. "
            "Look for NaN or infinite energies, or widen the bounds."
        )
    return Density(points, log - log_normalizer, log_normalizer, volume, energy, temperature)


def cells(bounds: Bounds, resolution: int) -> tuple[Tensor, float]:
    """Return the centers of a grid's cells, (resolution^dim, dim), and a cell's volume.

    Raises:
        ValueError: The bounds are no one or two pairs (lowest, highest).
    """
    checks.count("resolution", resolution, least=2)
    if len(bounds) not in (1, 2) or any(not low < high for low, high in bounds):
        raise ValueError(
            f"bounds must be one or two pairs (lowest, highest), got {bounds}. "
            "Write [(-4, 4), (-4, 4)]; use ais for more dimensions."
        )
    centers = (torch.arange(resolution) + 0.5) / resolution
    axes = [low + (high - low) * centers for low, high in bounds]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
    return points, math.prod((high - low) / resolution for low, high in bounds)


def values(energy: Energy | Callable[[Tensor], Tensor], x: Tensor) -> Energies:
    """Return the energies of x in float64, in chunks, eval mode and without a graph."""
    checks.own_reach(energy, "a density")
    with torch.no_grad(), evaluating(energy):
        chunks = [checks.one_per_example(energy(part), len(part)) for part in x.split(CHUNK)]
    return torch.cat(chunks).double()
