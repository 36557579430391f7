"""A 2-D set: a distribution of points that is sampled exactly and whose density is known."""

import dataclasses
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from toy_data import checks

Bounds = tuple[tuple[float, float], tuple[float, float]]
"""(lowest, highest) of the first coordinate, then of the second."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

TAIL = 4.5
"""Standard deviations of noise inside the bounds: 7e-6 of the mass lies outside, per axis."""


Kind = TypeVar("Kind", bound="PointSet")


@dataclass(frozen=True)
class PointSet(ABC):
    """A distribution over the plane: call it to draw points, ask it for their log density.

    The points live in about [-3, 3]^2, in units without a name. The numbers of a set
    (noise, radii, ...) are its fields; `with_` changes them.

    >>> import toy_data, torch
    >>> toy_data.two_moons(1000).shape
    torch.Size([1000, 2])
    >>> toy_data.rings.with_(noise=0.05).log_prob(torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    @abstractmethod
    def _draw(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return one float64 point of each label's component."""

    @abstractmethod
    def _log_density(self, x: Tensor) -> Tensor:
        """Return the log density of float64 points."""

    @property
    @abstractmethod
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass: ((lo, hi), (lo, hi))."""

    @property
    @abstractmethod
    def weights(self) -> tuple[float, ...]:
        """The share of each component; its index is the label."""

    @property
    def name(self) -> str:
        """The name under which the set is found, such as "two_moons"."""
        return _WORDS.sub("_", type(self).__name__).lower()

    def __call__(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return n independent points, float32 of shape (n, 2).

        Raises:
            ValueError: n is no whole number of at least 1.
        """
        return self.labeled(n, generator=generator)[0]

    def labeled(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return n independent points and the component, shape (n,), that each came from.

        Raises:
            ValueError: n is no whole number of at least 1.
        """
        u = uniform(checks.count("n", n), generator)
        edges = torch.tensor(self.weights, dtype=torch.float64, device=u.device).cumsum(0)
        labels = torch.bucketize(u * edges[-1], edges[:-1], right=True)
        return self._draw(labels, generator).float(), labels

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of the points, shape (n,), differentiable in x.

        It is computed in float64 and returned in the precision of x.

        Raises:
            ValueError: x is no batch of points, shape (n, 2).
        """
        return self._log_density(checks.points(x).double()).to(x.dtype)

    def with_(self: Kind, **numbers: Any) -> Kind:
        """Return the same set with other numbers: `two_moons.with_(noise=0.05)`.

        Raises:
            ValueError: The set has no such number, or its value makes no sense.
        """
        fields = [field.name for field in dataclasses.fields(self)]
        for given in numbers:
            if given not in fields:
                raise ValueError(
                    f"{self.name} must be changed by one of its own numbers, got {given!r}. "
                    f"It has: {', '.join(fields)}."
                )
        return dataclasses.replace(self, **numbers)


def uniform(n: int, generator: torch.Generator | None) -> Tensor:
    """Return n independent float64 numbers, uniform on [0, 1)."""
    device = checks.device(generator)
    return torch.rand(n, dtype=torch.float64, device=device, generator=generator)


def interior(n: int, generator: torch.Generator | None) -> Tensor:
    """Return n independent numbers, uniform and at least 2^-21 away from 0 and 1.

    For sets with a hard edge: no point is rounded across it in float32.
    """
    return ((uniform(n, generator) * 2**20).floor() + 0.5) / 2**20


def normal(n: int, generator: torch.Generator | None) -> Tensor:
    """Return n independent float64 points, standard normal in the plane."""
    device = checks.device(generator)
    return torch.randn(n, 2, dtype=torch.float64, device=device, generator=generator)
