"""Points with classes: one Gaussian for each class."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from toy_data import checks, gaussians
from toy_data.point_set import Bounds


@dataclass(frozen=True)
class LabeledGaussians:
    """Overlapping round Gaussians on a circle, one for each class, for joint models of both.

    Call it for points and their classes; the density of the points and the probabilities
    of the classes are exact.

    >>> import toy_data
    >>> x, labels = toy_data.labeled_gaussians(1000)
    >>> x.shape, labels.shape
    (torch.Size([1000, 2]), torch.Size([1000]))
    """

    classes: int = 4
    """Number of classes, all equally frequent."""
    noise: float = 0.6
    """Standard deviation of each class in each coordinate, in units of the plane."""
    radius: float = 1.5
    """Radius of the circle of the centers, in units of the plane."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        checks.count("classes", self.classes)
        checks.positive("noise", self.noise)
        checks.positive("radius", self.radius)

    @property
    def name(self) -> str:
        """The name under which the set is found."""
        return "labeled_gaussians"

    @property
    def centers(self) -> list[tuple[float, float]]:
        """The means of the classes."""
        angles = [2 * math.pi * k / self.classes for k in range(self.classes)]
        return [(self.radius * math.cos(a), self.radius * math.sin(a)) for a in angles]

    @property
    def bounds(self) -> Bounds:
        """A box that holds all but 1e-4 of the mass."""
        return gaussians.bounds(self.centers, self._factors)

    @property
    def _factors(self) -> list[tuple[gaussians.Point, gaussians.Point]]:
        return gaussians.round_factors(self.noise, self.classes)

    def __call__(
        self, n: int, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return n independent points, float32 of shape (n, 2), and their classes, (n,).

        Raises:
            ValueError: n is no whole number of at least 1.
        """
        n, device = checks.count("n", n), checks.device(generator)
        labels = torch.randint(self.classes, (n,), device=device, generator=generator)
        return gaussians.draw(labels, self.centers, self._factors, generator).float(), labels

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of the points whatever their class, shape (n,)."""
        weights = [1 / self.classes] * self.classes
        points = checks.points(x).double()
        return gaussians.log_density(points, self.centers, self._factors, weights).to(x.dtype)

    def posterior(self, x: Tensor) -> Tensor:
        """Return the probability of each class at the points, shape (n, classes)."""
        points = checks.points(x).double()
        centers = torch.tensor(self.centers, dtype=points.dtype, device=x.device)
        squared = (points[:, None] - centers).square().sum(dim=-1)
        return torch.softmax(-squared / (2 * self.noise**2), dim=1).to(x.dtype)

    def with_(self, **numbers: Any) -> "LabeledGaussians":
        """Return the same set with other numbers: `labeled_gaussians.with_(classes=3)`."""
        return replace(self, **numbers)


labeled_gaussians = LabeledGaussians()
