"""Rules over finitely many latents: every one is tried, for all examples at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import as_energy
from ebm.latent.inference import AnyEnergy, Inference, Inferred

PAIRS = 2**18


@dataclass(frozen=True, eq=False)
class Finite(Inference):
    """Tries every latent of a finite set; subclasses define `points`."""

    def points(self, x: Tensor) -> Tensor:
        """Return the latents, (points, *latent), on the device of x."""
        raise NotImplementedError(f"{type(self).__name__} must define points.")

    def energies(self, energy: AnyEnergy, x: Tensor) -> Tensor:
        """Return E(x, z) for every pair, (batch, points)."""
        return _energies(energy, x, self.points(x))

    def solve(self, energy: AnyEnergy, x: Tensor, z: Tensor | None = None) -> Inferred:
        """Return the best latent of each example; a start z competes with them."""
        energy = as_energy(energy)
        points = self.points(x)
        with torch.no_grad():
            least, index = _energies(energy, x, points).min(-1)
            best = points[index]
            if z is not None:
                own = checks.one_per_example(energy(x, z), len(x))
                lower = (own < least).view(-1, *[1] * (best.ndim - 1))
                best, least = torch.where(lower, z, best), torch.minimum(own, least)
        return Inferred(best, least, torch.ones_like(index, dtype=torch.bool))


@dataclass(frozen=True, eq=False)
class Enumeration(Finite):
    """Tries each of the given latents, (points, *latent)."""

    latents: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.latents, Tensor) or self.latents.ndim == 0 or len(self.latents) < 1:
            raise ValueError(
                f"latents must be a tensor with a row for each, got {self.latents!r}. "
                "Pass Enumeration(torch.eye(k)) for k one-hot latents."
            )

    def points(self, x: Tensor) -> Tensor:
        """Return the given latents."""
        floating = self.latents.is_floating_point()
        return self.latents.to(x.device, x.dtype if floating else self.latents.dtype)


@dataclass(frozen=True, eq=False)
class Grid(Finite):
    """Tries an even grid: `low` included, `high` not, so that a period has no point twice.

    Args:
        low: Where each axis of z begins; a number makes z a scalar, shape (batch,).
        high: Where each axis ends.
        points_per_axis: Points along each axis.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    points_per_axis: int

    def __post_init__(self) -> None:
        checks.count("points_per_axis", self.points_per_axis)
        _box(self.low, self.high)

    def points(self, x: Tensor) -> Tensor:
        """Return the points of the grid, (points,) or (points, axes)."""
        steps = torch.arange(self.points_per_axis, device=x.device, dtype=x.dtype)
        steps = steps / self.points_per_axis
        low, high = _box(self.low, self.high)
        axes = [a + (b - a) * steps for a, b in zip(low, high, strict=True)]
        if not isinstance(self.low, tuple):
            return axes[0]
        return torch.cartesian_prod(*axes).view(-1, len(axes))


@dataclass(frozen=True, eq=False)
class Draws(Finite):
    """Tries latents drawn evenly from a box, anew at each call and the same for all examples.

    Its free energy is a sampled one: with n draws it exceeds the integral's on average, by
    about the variance of exp(-E / T) over 2 n.

    Args:
        low: Where each axis of z begins; a number makes z a scalar, shape (batch,).
        high: Where each axis ends.
        draws: Latents drawn, from torch's default generator.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    draws: int

    def __post_init__(self) -> None:
        checks.count("draws", self.draws)
        _box(self.low, self.high)

    def points(self, x: Tensor) -> Tensor:
        """Return the drawn points, (draws,) or (draws, axes)."""
        low, high = (x.new_tensor(edge) for edge in _box(self.low, self.high))
        z = low + (high - low) * torch.rand(self.draws, len(low), device=x.device, dtype=x.dtype)
        return z if isinstance(self.low, tuple) else z[:, 0]


def _energies(energy: AnyEnergy, x: Tensor, points: Tensor) -> Tensor:
    rows = max(1, PAIRS // len(points))
    values = []
    for part in x.split(rows):
        repeated = part.repeat_interleave(len(points), 0)
        tiled = points.repeat(len(part), *[1] * (points.ndim - 1))
        pairs = checks.one_per_example(energy(repeated, tiled), len(tiled))
        values.append(pairs.view(len(part), len(points)))
    return torch.cat(values) if values else x.new_zeros(0, len(points))


def _box(
    low: float | tuple[float, ...], high: float | tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    box = tuple(edge if isinstance(edge, tuple) else (edge,) for edge in (low, high))
    if len(box[0]) != len(box[1]) or any(a >= b for a, b in zip(*box, strict=False)):
        raise ValueError(
            f"low must lie below high on every axis, got low={low} and high={high}. "
            "Give numbers, or tuples of one length."
        )
    return box[0], box[1]
