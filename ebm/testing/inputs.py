"""What an energy or a loss is called with: one word for each of its arguments.

An input says how to make its argument for a batch of n examples of dimension d from the
drawn views, labels and seeds; the laws transform views and leave the rest in place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Input:
    """One argument of a callable."""

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor | float:
        """Return the argument, from a drawn view of shape (n, d) and a generator."""
        raise NotImplementedError(f"{type(self).__name__} must define make.")


@dataclass(frozen=True)
class View(Input):
    """Embeddings or points, (n, dim); `dim` None leaves the dimension to the draw."""

    dim: int | None = None

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return the view as it was drawn."""
        return view


@dataclass(frozen=True)
class Example(Input):
    """Configurations of a fixed shape, (n, *shape), standard normal."""

    shape: tuple[int, ...]

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return normal noise of the shape."""
        return torch.randn(len(view), *self.shape, dtype=view.dtype, generator=generator)


@dataclass(frozen=True)
class Bits(Input):
    """Binary configurations, (n, dim), zeros and ones in floating point."""

    dim: int

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return fair coins."""
        coins = torch.randint(0, 2, (len(view), self.dim), generator=generator)
        return coins.to(view.dtype)


@dataclass(frozen=True)
class Labels(Input):
    """Class indices, (n,); `classes` None means as many as the dimension of the views."""

    classes: int | None = None

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return uniform classes."""
        classes = self.classes or view.shape[1]
        return torch.randint(0, classes, (len(view),), generator=generator)


@dataclass(frozen=True)
class Vector(Input):
    """One number for each example, (n,): energies, scalar predictions or targets."""

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return the first column of the view."""
        return view[:, 0].clone()


@dataclass(frozen=True)
class Probabilities(Input):
    """Probabilities of d classes, (n, d), between 0.01 and 0.99."""

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return the softmax of the view, kept away from 0 and 1."""
        return 0.98 * torch.softmax(view, dim=1) + 0.01


@dataclass(frozen=True)
class Number(Input):
    """A plain number, such as a temperature."""

    value: float

    def make(self, view: Tensor, generator: torch.Generator) -> float:
        """Return the number."""
        return self.value


@dataclass(frozen=True)
class Scalar(Input):
    """A tensor without axes, such as a logarithm that was estimated before."""

    value: float

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return the number as a tensor."""
        return torch.tensor(self.value, dtype=view.dtype)


@dataclass(frozen=True)
class Sizes(Input):
    """Numbers that cannot be negative, (n, d), such as distances."""

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return the absolute values of the view."""
        return view.abs()


@dataclass(frozen=True)
class Negatives(Input):
    """Each example's own negatives, (n, count, d), standard normal."""

    count: int

    def make(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Return normal noise."""
        n, d = view.shape
        return torch.randn(n, self.count, d, dtype=view.dtype, generator=generator)
