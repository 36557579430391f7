"""Inference by descent in z, every example on its own path: Adam or L-BFGS."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import as_energy, energy_and_score, evaluating, without_parameters
from ebm.latent.inference import AnyEnergy, Inference, Inferred, starting
from ebm.samplers import compiled

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""z, (batch, dim), to its energies, (batch,), and gradients, (batch, dim)."""

CHECK_EVERY = 10


@dataclass
class Point:
    """Where a descent is, and what its update rule remembers."""

    z: Tensor
    energy: Tensor
    gradient: Tensor
    memory: list[tuple[Any, ...]] = field(default_factory=list)


@runtime_checkable
class Update(Protocol):
    """One step of a descent that treats every row on its own."""

    def __call__(self, point: Point, evaluate: Evaluate) -> Point:
        """Return the next point."""
        ...


@dataclass(frozen=True)
class Adam:
    """Steps scaled by running moments of the gradient.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    arXiv:1412.6980.
    """

    step_size: float = 0.05
    decay: tuple[float, float] = (0.9, 0.999)

    def __call__(self, point: Point, evaluate: Evaluate) -> Point:
        """Return the next point."""
        first, second, count = point.memory[0] if point.memory else (0.0, 0.0, 0)
        a, b = self.decay
        count = count + 1
        first = a * first + (1 - a) * point.gradient
        second = b * second + (1 - b) * point.gradient.square()
        scale = math.sqrt(1 - b**count) / (1 - a**count)
        z = point.z - self.step_size * scale * first / (second.sqrt() + 1e-8)
        return Point(z, *evaluate(z), memory=[(first, second, count)])


@dataclass(frozen=True)
class LBFGS:
    """Quasi-Newton steps from the last gradients, halved until the energy falls enough.

    Reference: Nocedal & Wright, "Numerical optimization", 2006, algorithms 7.4 and 3.1.
    """

    history: int = 10
    halvings: int = 20

    def __call__(self, point: Point, evaluate: Evaluate) -> Point:
        """Return the next point; rows that cannot fall stay where they are."""
        direction = self._direction(point)
        slope = (direction * point.gradient).sum(-1)
        uphill = (slope >= 0)[:, None]
        direction = torch.where(uphill, -point.gradient, direction)
        slope = torch.where(uphill[:, 0], -point.gradient.square().sum(-1), slope)
        length = torch.ones_like(slope)
        if not point.memory:
            length = length / point.gradient.norm(dim=-1).clamp(min=1.0)
        z, energy, gradient = point.z, point.energy, point.gradient
        waiting = slope < 0
        for _ in range(self.halvings):
            trial = torch.where(waiting[:, None], point.z + length[:, None] * direction, z)
            value, slopes = evaluate(trial)
            fell = waiting & (value <= point.energy + 1e-4 * length * slope)
            z = torch.where(fell[:, None], trial, z)
            energy = torch.where(fell, value, energy)
            gradient = torch.where(fell[:, None], slopes, gradient)
            waiting = waiting & ~fell
            if not bool(waiting.any()):
                break
            length = length / 2
        step, change = z - point.z, gradient - point.gradient
        # Rows with curvature that is not positive keep their history, with a null pair.
        curvature = (step * change).sum(-1, keepdim=True)
        good = curvature > 1e-10 * change.square().sum(-1, keepdim=True)
        pair = tuple(torch.where(good, v, torch.zeros_like(v)) for v in (step, change))
        return Point(z, energy, gradient, [*point.memory, pair][-self.history :])

    def _direction(self, point: Point) -> Tensor:
        direction, weights = -point.gradient, []
        for step, change in reversed(point.memory):
            rate = _inverse((step * change).sum(-1, keepdim=True))
            weight = rate * (step * direction).sum(-1, keepdim=True)
            direction = direction - weight * change
            weights.append((step, change, rate, weight))
        scale = torch.ones_like(point.energy)[:, None]
        for step, change in point.memory:
            fresh = (step * change).sum(-1, keepdim=True)
            newest = fresh / change.square().sum(-1, keepdim=True).clamp(min=1e-300)
            scale = torch.where(fresh > 0, newest, scale)
        direction = scale * direction
        for step, change, rate, weight in reversed(weights):
            back = rate * (change * direction).sum(-1, keepdim=True)
            direction = direction + (weight - back) * step
        return direction


@dataclass(frozen=True, eq=False)
class Descent(Inference):
    """Descends E(x, z) in z and returns the lowest point of each path.

    Args:
        update: How a step is taken, `LBFGS()` or `Adam(step_size)`.
        steps: The most steps taken.
        tolerance: Norm of dE/dz at which an example has converged.
        start: Rule that finds where paths begin; the energy's own start if None.
        compile: Compile the energy and its gradient, once for seconds; the plain ones are taken,
            after a warning, where that fails.
    """

    update: Update = LBFGS()
    steps: int = 200
    tolerance: float = 1e-5
    start: Inference | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        checks.count("steps", self.steps)
        checks.not_negative("tolerance", self.tolerance)

    def solve(self, energy: AnyEnergy, x: Tensor, z: Tensor | None = None) -> Inferred:
        """Return the lowest latents found."""
        given, energy = energy, as_energy(energy)  # what is compiled is remembered by the former
        z, x = starting(energy, self.start, x, z), x.detach()
        shape = z.shape

        def posterior(z: Tensor) -> Tensor:
            return energy(x, z.view(shape))

        def evaluate(z: Tensor) -> tuple[Tensor, Tensor]:
            if self.compile:
                value, score = compiled.evaluate(given, z.view(shape), before=(x,))
                return value, -score.reshape(z.shape)
            value, score = energy_and_score(posterior, z)
            return value, -score

        with evaluating(energy), without_parameters(energy):
            z = z.reshape(len(z), math.prod(shape[1:]))
            point = best = Point(z, *evaluate(z))
            stuck = torch.zeros_like(point.energy, dtype=torch.bool)
            for step in range(self.steps):
                if step % CHECK_EVERY == 0 and bool((self._settled(best) | stuck).all()):
                    break
                before = point.z
                point = self.update(point, evaluate)
                stuck = (point.z == before).all(-1)
                lower = (point.energy < best.energy)[:, None]
                best = Point(
                    torch.where(lower, point.z, best.z),
                    torch.where(lower[:, 0], point.energy, best.energy),
                    torch.where(lower, point.gradient, best.gradient),
                )
        return Inferred(best.z.view(shape), best.energy, self._settled(best))

    def _settled(self, point: Point) -> Tensor:
        return point.gradient.norm(dim=-1) <= self.tolerance


def _inverse(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1 / torch.where(x > 0, x, torch.ones_like(x)), torch.zeros_like(x))
