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

KEPT = 16
"""Compiled energies that are remembered."""

CACHE_BYTES = 2**21
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


def descend(
    energy: Energy | Callable[..., Tensor],
    x: Tensor,
    noise: Tensor,
    step_size: Tensor,
    noise_scale: Tensor,
) -> Tensor:
    """Return x - step_size * dE/dx + noise_scale * noise, all of it by one compiled function.

    What only the energy's value needs is not computed. The rest is as for `evaluate`.
    """
    try:
        function = _compiled_step(energy)
    except TypeError:
        return _plain_step(energy, x, noise, step_size, noise_scale)
    rows = _rows(energy, x)
    if len(x) <= rows:
        return function(x, noise, step_size, noise_scale)
    pieces = -(-len(x) // rows)
    parts = zip(x.tensor_split(pieces), noise.tensor_split(pieces), strict=True)
    return torch.cat([function(*part, step_size, noise_scale) for part in parts])


@functools.lru_cache(maxsize=KEPT)
def _compiled(energy: Any) -> "_Fallback":
    wrapped = as_energy(energy)

    def total(x: Tensor, *before: Tensor) -> tuple[Tensor, Tensor]:
        values = wrapped(*before, x)
        return values.sum(), values

    gradient = torch.func.grad_and_value(total, has_aux=True)

    def fused(x: Tensor, *before: Tensor) -> tuple[Tensor, Tensor]:
        slope, (_, values) = gradient(x, *before)
        return values, -slope

    return _Fallback(fused, lambda x, *before: _plain(energy, x, before))


@functools.lru_cache(maxsize=KEPT)
def _compiled_step(energy: Any) -> "_Fallback":
    wrapped = as_energy(energy)
    gradient = torch.func.grad(lambda x: wrapped(x).sum())

    def fused(x: Tensor, noise: Tensor, step_size: Tensor, noise_scale: Tensor) -> Tensor:
        return x - step_size * gradient(x) + noise_scale * noise

    return _Fallback(fused, functools.partial(_plain_step, energy))


class _Fallback:
    """A function, compiled until that fails; from then on the plain one."""

    def __init__(self, function: FunctionType, plain: Callable[..., Any]) -> None:
        # A code object of its own: the compiler counts the functions made from one, to eight.
        code, scope = function.__code__.replace(), function.__globals__
        own = FunctionType(code, scope, closure=function.__closure__)
        from ebm.samplers.thin import ThinProducts  # imports the compiler, which takes seconds

        options: dict[str, Any] = {"post_grad_custom_pre_pass": ThinProducts()}
        self.function: Callable[..., Any] | None = torch.compile(own, options=options)
        self.plain = plain
        self.checked = False

    def __call__(self, *inputs: Tensor) -> Any:
        if self.function is None or not self.checked:
            plain = self.plain(*inputs)  # it says what is wrong with an energy
            self.checked = True
            if self.function is None:
                return plain
        try:
            with torch.no_grad():
                return self.function(*inputs)
        except Exception as error:
            # Compilers fail in many ways, and the plain function is always there.
            self.function = None
            warnings.warn(
                f"energy could not be compiled ({type(error).__name__}); it is used without. "
                "Leave compile out, or see the error with torch.compile(energy)(x).",
                stacklevel=4,
            )
            return self.plain(*inputs)


def _plain(energy: Any, x: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    if not before:
        return energy_and_score(energy, x)
    return energy_and_score(lambda x: energy(*before, x), x)


@functools.cache
def _say_once(words: str) -> None:
    """Warn of what holds for every energy."""
    warnings.warn(words, stacklevel=5)


def _plain_step(
    energy: Any, x: Tensor, noise: Tensor, step_size: Tensor, noise_scale: Tensor
) -> Tensor:
    score = energy_and_score(energy, x)[1]
    return torch.add(x, score, alpha=float(step_size)).add_(noise, alpha=float(noise_scale))


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
