"""Binary states: all of them, and those one flip away."""

from collections.abc import Callable

import torch
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.shapes import Matrix, Points

MOST_UNITS = 22


def binary_states(dim: int) -> Points:
    """Return all vectors of zeros and ones, (2^dim, dim), in the order of the numbers.

    Raises:
        ValueError: Too many to enumerate.
    """
    if checks.count("dim", dim) > MOST_UNITS:
        raise ValueError(
            f"dim must be at most {MOST_UNITS} to be enumerated, got dim={dim}. Use "
            "evaluation.ais, and a method that samples, such as contrastive divergence."
        )
    return (torch.arange(2**dim)[:, None] >> torch.arange(dim - 1, -1, -1) & 1).float()


def flipped(x: Points) -> Tensor:
    """Return all one-flip neighbors, (batch, dim, dim): in row i unit i is flipped."""
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return x[:, None] + eye * (1 - 2 * x)[:, None]


def flip_energies(energy: Energy | Callable[[Tensor], Tensor], x: Tensor) -> Matrix:
    """Return the energies of all one-flip neighbors, (batch, dim); x is flat or an image.

    Raises:
        ValueError: x holds anything but zeros and ones.
    """
    binary("x", x)
    neighbors = flipped(x.flatten(1)).view(-1, *x.shape[1:])
    values = checks.one_per_example(energy(neighbors), len(neighbors))
    return values.view(len(x), -1)


def binary(name: str, x: Tensor) -> Tensor:
    """Return the tensor, refused unless it holds zeros and ones alone.

    Raises:
        ValueError: It holds other values.
    """
    checks.configurations(name, x)
    if x.ndim < 2 or not bool(((x == 0) | (x == 1)).all()):
        raise ValueError(
            f"{name} must hold zeros and ones, (batch, *shape), got other values or shape "
            f"{tuple(x.shape)}. Threshold the data: (x > 0.5).float()."
        )
    return x


def binarized(x: Tensor) -> Tensor:
    """Return zeros and ones: one where x is above the middle of its range."""
    return (x > (x.min() + x.max()) / 2).to(x.dtype)
