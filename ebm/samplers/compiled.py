"""Compiled energies: one function for the energy and its score, for many cheap steps.

A step on a small energy costs less arithmetic than it costs calls; compiled, the energy, its
gradient and what lies between are one call. Noise is drawn outside, so that a generator
means the same.
"""

import functools
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from ebm.energy import Energy, Given, as_energy, energy_and_score, modules

Evaluate = Callable[..., tuple[Tensor, Tensor]]
"""Chains to their energies, (batch,), and scores, shaped like the chains."""

KEPT = 16
"""Compiled energies that are remembered."""

CACHE_BYTES = 2**22
"""What a layer of a network should take of a processor's cache."""


def evaluate(
    energy: Energy | Callable[..., Tensor], x: Tensor, *, before: tuple[Tensor, ...] = ()
) -> tuple[Tensor, Tensor]:
    """Return E(*before, x) and -dE/dx by a compiled function, or without it where that fails.

    The first call with an energy compiles it, for seconds. What cannot be compiled, or has no
    compiler, is evaluated as it is, after one warning. On a processor the chains of a network
    are evaluated in pieces that stay in its cache.
    """
    try:
        function = _compiled(energy)
    except TypeError:  # it cannot be remembered
        return _plain(energy, x, before)
    rows = _rows(energy, x)
    if len(x) <= rows or before:
        return function(x, *before)
    parts = [function(part) for part in x.tensor_split(-(-len(x) // rows))]
    return torch.cat([values for values, _ in parts]), torch.cat([score for _, score in parts])


@functools.lru_cache(maxsize=KEPT)
def _compiled(energy: Any) -> Evaluate:
    wrapped = as_energy(energy)

    def total(x: Tensor, *before: Tensor) -> tuple[Tensor, Tensor]:
        values = wrapped(*before, x)
        return values.sum(), values

    gradient = torch.func.grad_and_value(total, has_aux=True)

    def fused(x: Tensor, *before: Tensor) -> tuple[Tensor, Tensor]:
        slope, (_, values) = gradient(x, *before)
        return values, -slope

    # A code object of its own: the compiler counts the functions made from one, to eight.
    own = FunctionType(fused.__code__.replace(), fused.__globals__, closure=fused.__closure__)
    return _Fallback(torch.compile(own), energy)


class _Fallback:
    """A compiled function until it fails; from then on the plain one."""

    def __init__(self, function: Evaluate, energy: Any) -> None:
        self.function: Evaluate | None = function
        self.energy = energy
        self.checked = False

    def __call__(self, x: Tensor, *before: Tensor) -> tuple[Tensor, Tensor]:
        if self.function is None or not self.checked:
            plain = _plain(self.energy, x, before)  # it says what is wrong with an energy
            self.checked = True
            if self.function is None:
                return plain
        try:
            with torch.no_grad():
                return self.function(x, *before)
        except Exception as error:
            # Compilers fail in many ways, and the plain function is always there.
            self.function = None
            words = (
                f"energy could not be compiled ({type(error).__name__}); it is used without. "
                "Leave compile out, or "
            )
            if any(word in str(error) for word in ("C++ compiler", "CppCompile", "Triton")):
                _say_once(words + "install a C++ compiler such as g++.")
            else:
                warnings.warn(words + "see the error with torch.compile(energy)(x).", stacklevel=4)
            return _plain(self.energy, x, before)


def _plain(energy: Any, x: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    if not before:
        return energy_and_score(energy, x)
    return energy_and_score(lambda x: energy(*before, x), x)


@functools.cache
def _say_once(words: str) -> None:
    """Warn of what holds for every energy."""
    warnings.warn(words, stacklevel=5)


def _rows(energy: Any, x: Tensor) -> int:
    """Return how many chains are evaluated at once."""
    if x.device.type != "cpu" or x.ndim != 2 or not isinstance(energy, Energy):
        return len(x)
    parts = list(modules(energy))
    if any(isinstance(part, Given) for part in parts):  # row i belongs to x[i]
        return len(x)
    widths = [len(p) for part in parts for p in part.parameters(recurse=False) if p.ndim == 2]
    if not widths:
        return len(x)
    return max(CACHE_BYTES // (max(widths) * x.element_size()), 1)
