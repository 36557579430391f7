"""A band along a sine wave."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toy_data import checks
from toy_data.point_set import TAIL, Bounds, PointSet, interior, normal


@dataclass(frozen=True)
class SineWave(PointSet):
    """The first coordinate uniform, the second its sine plus Gaussian noise.

    The log density is -inf beyond the two ends of the band.
    """

    noise: float = 0.2
    """Standard deviation of the second coordinate's noise, in units of the plane."""
    half_width: float = 3.0
    """Largest size of the first coordinate, in units of the plane."""
    amplitude: float = 2.0
    """Height of the wave, in units of the plane."""
    waves: float = 1.5
    """Periods between the two ends."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.positive("noise", self.noise)
        checks.positive("half_width", self.half_width)
        checks.finite("amplitude", self.amplitude)
        checks.positive("waves", self.waves)

    @property
    def weights(self) -> tuple[float, ...]:
        """One component."""
        return (1.0,)

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        high = abs(self.amplitude) + TAIL * self.noise
        return (-self.half_width, self.half_width), (-high, high)

    def _wave(self, x: Tensor) -> Tensor:
        return self.amplitude * torch.sin(math.pi * self.waves * x / self.half_width)

    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(labels)
        first = self.half_width * (2 * interior(n, generator) - 1)
        second = self._wave(first) + self.noise * normal(n, generator)[:, 1]
        return torch.stack([first, second], dim=1)

    def _log_density(self, x: Tensor) -> Tensor:
        away = (x[:, 1] - self._wave(x[:, 0])) / self.noise
        constant = math.log(2 * self.half_width * self.noise * math.sqrt(2 * math.pi))
        log_density = -away.square() / 2 - constant
        return log_density.masked_fill(x[:, 0].abs() > self.half_width, -math.inf)


sine_wave = SineWave()
