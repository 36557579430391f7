"""Noise with a known density: torch.distributions, our targets, flows, or your own."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ebm import checks
from ebm.energies import Gaussian
from ebm.shapes import Energies


@runtime_checkable
class Noise(Protocol):
    """What can be sampled and knows its normalized log density."""

    sample: Callable[..., Tensor]
    """`sample(count)` or `sample((count,))` -> (count, *shape)."""
    log_prob: Callable[[Tensor], Tensor]
    """`log_prob(x) -> (batch,)`."""


def as_noise(noise: Any) -> Noise:
    """Return the noise, refused unless it has `sample` and `log_prob`.

    Raises:
        TypeError: A method is missing.
    """
    if not isinstance(noise, Noise):
        raise TypeError(
            f"noise must have sample and log_prob, got {type(noise).__name__}. Pass a "
            "torch.distributions distribution, or an energy such as energies.Gaussian."
        )
    return noise


def draw(noise: Noise, count: int, like: Tensor) -> Tensor:
    """Return `count` samples without a graph, of the dtype and on the device of `like`."""
    size: Any = (count,) if isinstance(noise, torch.distributions.Distribution) else count
    with torch.no_grad():
        return noise.sample(size).to(like)


def negatives(noise: Noise, count: int, x: Tensor) -> Tensor:
    """Return `count` samples shaped like the examples, (count, *shape).

    Raises:
        TypeError: x is no tensor of floating-point numbers.
        ValueError: A sample is of another size than an example.
    """
    made = draw(noise, count, checks.configurations("x", x))
    if made.numel() != count * x.shape[1:].numel():
        raise ValueError(
            f"noise must be shaped like the data, {tuple(x.shape[1:])}, got samples of shape "
            f"{tuple(made.shape[1:])}. Make the noise for this data."
        )
    return made.view(-1, *x.shape[1:])


def log_prob(noise: Noise, x: Tensor) -> Energies:
    """Return the log density of each example.

    Raises:
        ValueError: The noise does not return one number per example.
    """
    values = noise.log_prob(x)
    if values.ndim > 1 and isinstance(noise, torch.distributions.Distribution):
        raise ValueError(
            f"noise must return one log density per example, shape ({len(x)},), got "
            f"{tuple(values.shape)}. Wrap it: torch.distributions.Independent(noise, "
            f"{values.ndim - 1})."
        )
    return checks.one_per_example(values, len(x), "noise.log_prob")


def gaussian_like(data: Tensor, *, widening: float = 1.5) -> Gaussian:
    """Return a Gaussian with the data's mean and a wider covariance, for flat examples."""
    x = data.flatten(1).double()
    centered = x - x.mean(0)
    covariance = widening * centered.mT @ centered / len(x)
    floor = 1e-3 * covariance.diagonal().mean().clamp(min=1e-6)
    covariance += floor * torch.eye(len(covariance), dtype=x.dtype, device=x.device)
    return Gaussian(x.mean(0).to(data.dtype), covariance.cpu())
