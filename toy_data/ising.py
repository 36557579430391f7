"""A small Ising model on a torus, sampled exactly by enumeration."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from toy_data import checks

_LARGEST = 4  # 2^16 states


@dataclass(frozen=True)
class Ising:
    """Binary pictures whose neighbors like to agree, p(x) proportional to exp(-E(x)).

        E(x) = -coupling * sum_<ij> s_i s_j - field * sum_i s_i,   s = 2 x - 1

    over the pixels x in {0, 1} of a square that closes on itself (every pixel is bound to
    its right and to its lower neighbor, so pixels of a 2x2 square are bound twice). All
    2^(size^2) states are enumerated: samples and log probabilities are exact.

    >>> import toy_data
    >>> toy_data.ising(1000).shape
    torch.Size([1000, 16])
    """

    size: int = 4
    """Pixels along each side, 2 to 4."""
    coupling: float = 0.3
    """Strength of the bond of two neighbors, in units of the temperature; may be negative."""
    field: float = 0.1
    """Pull of every pixel toward 1, in units of the temperature; may be negative."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if checks.count("size", self.size, least=2) > _LARGEST:
            raise ValueError(
                f"size must be at most {_LARGEST} to be enumerated, got size={self.size}. "
                "Sample a larger model with a Markov chain."
            )
        checks.finite("coupling", self.coupling)
        checks.finite("field", self.field)

    @property
    def name(self) -> str:
        """The name under which the set is found."""
        return "ising"

    @property
    def states(self) -> Tensor:
        """All states, float32 of zeros and ones, shape (2^(size^2), size^2)."""
        pixels = self.size**2
        numbers = torch.arange(2**pixels)[:, None]
        return (numbers >> torch.arange(pixels - 1, -1, -1) & 1).float()

    def energy(self, x: Tensor) -> Tensor:
        """Return E(x), shape (n,); it is also defined between the states."""
        checks.points(x, self.size**2)
        spins = (2 * x - 1).unflatten(1, (self.size, self.size))
        bonds = spins * (spins.roll(-1, dims=1) + spins.roll(-1, dims=2))
        return -self.coupling * bonds.sum(dim=(1, 2)) - self.field * spins.sum(dim=(1, 2))

    @property
    def log_normalizer(self) -> float:
        """Return log sum_x exp(-E(x)) over all states."""
        return _log_normalizer(self)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the exact log probability of the states, shape (n,).

        Raises:
            ValueError: x is no batch of states, or holds anything but zeros and ones.
        """
        checks.points(x, self.size**2)
        if not ((x == 0) | (x == 1)).all():
            raise ValueError("x must hold zeros and ones, got other values. Use (spins + 1) / 2.")
        return (-self.energy(x.double()) - self.log_normalizer).to(x.dtype)

    def __call__(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return n independent states, float32 of shape (n, size^2).

        Raises:
            ValueError: n is no whole number of at least 1.
        """
        n, device = checks.count("n", n), checks.device(generator)
        states = self.states
        edges = self.log_prob(states.double()).exp().cumsum(0).to(device)
        u = torch.rand(n, dtype=torch.float64, device=device, generator=generator)
        return states.to(device)[torch.bucketize(u * edges[-1], edges[:-1], right=True)]

    def with_(self, **numbers: Any) -> "Ising":
        """Return the same model with other numbers: `ising.with_(coupling=0.5)`."""
        return replace(self, **numbers)


@lru_cache(maxsize=32)
def _log_normalizer(model: Ising) -> float:
    return float(torch.logsumexp(-model.energy(model.states.double()), dim=0))


ising = Ising()
