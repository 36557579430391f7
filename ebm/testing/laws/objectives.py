"""Laws of objectives that fit an energy: on a Gaussian the optimum is known."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ebm.energy import Energy
from ebm.method import Method
from ebm.testing.inputs import View
from ebm.testing.law import Violation, law
from ebm.testing.strategies import Case
from ebm.traits import Trait

SAMPLES = 100_000
SIGMAS = 5.0
CERTAIN = 8.0
"""Standard errors, themselves estimated from 20 batches, beyond which a slope is not zero."""


class Parabola(Energy):
    """E(x) = a |x|^2 / 2 + c, with a = exp(log_precision) to be found."""

    def __init__(self, precision: float = 1.0, constant: float = 0.0) -> None:
        super().__init__()
        self.log_precision = nn.Parameter(torch.tensor(math.log(precision), dtype=torch.float64))
        self.constant = constant

    def forward(self, x: Tensor) -> Tensor:
        """Return the energies."""
        return self.log_precision.exp() * x.flatten(1).square().sum(dim=1) / 2 + self.constant


class Objective:
    """A way to fit an energy, under test.

    Args:
        build: Makes the method of an energy.
        precision: The optimal a of E = a |x|^2 / 2 on data from N(0, I).
        name: How reports call it.
        dims: The dimensions that are tried.
    """

    def __init__(
        self,
        build: Callable[[Energy], Method],
        precision: float = 1.0,
        name: str = "objective",
        dims: Sequence[int] = (1, 2, 8),
    ) -> None:
        self.build, self.precision, self.name, self.dims = build, precision, name, tuple(dims)
        self.inputs = (View(2),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()

    def slope(
        self, precision: float, d: int, seed: int, constant: float = 0.0
    ) -> tuple[float, float]:
        """Return the loss's slope in log a at a precision, and its standard error."""
        energy = Parabola(precision, constant)
        method = self.build(energy)
        generator = torch.Generator().manual_seed(seed)
        slopes = []
        for k in range(20):
            x = torch.randn(SAMPLES // 20, d, generator=generator, dtype=torch.float64)
            torch.default_generator.manual_seed(seed + k)
            values = method.terms(x)
            loss = torch.stack([value.double().mean() for value in values.values()]).sum()
            (slope,) = torch.autograd.grad(loss, energy.log_precision)
            slopes.append(slope)
        found = torch.stack(slopes)
        return float(found.mean()), float(found.std()) / math.sqrt(len(slopes))


@law(
    small=False,
    kinds=("gaussian",),
    share=0.02,
    scale="five standard errors of the slope",
    conditions="N(0, I) in 1, 2 and 8 dimensions; slopes at, and at 0.4 and 2.5 of, the optimum",
)
def recovers_the_gaussian(objective: Any, case: Case, claim: Any) -> None:
    """On N(0, I) the loss falls toward the known precision, and is flat there, in any dimension."""
    for d in objective.dims:
        slope, error = objective.slope(objective.precision, d, case.seed + 1)
        if not abs(slope) <= CERTAIN * error + 1e-12:
            message = f"in {d} dimensions the slope at the optimal precision is {slope:.4g}, not 0."
            raise Violation(message, abs(slope), CERTAIN * error)
        for factor, sign in ((0.4, -1.0), (2.5, 1.0)):
            slope, error = objective.slope(factor * objective.precision, d, case.seed)
            if sign * slope <= SIGMAS * error:
                message = (
                    f"in {d} dimensions, at {factor} of the optimal precision, the loss has slope "
                    f"{slope:.4g} in log a: it leads away from the optimum."
                )
                raise Violation(message, -sign * slope, SIGMAS * error)


@law(small=False, kinds=("gaussian",), share=0.02, scale="the slope itself; 1e-6 of it")
def blind_to_constants(objective: Any, case: Case, claim: Any) -> None:
    """A constant added to the energy leaves the gradient in its parameters unchanged."""
    plain, _ = objective.slope(0.7, 2, case.seed)
    shifted, _ = objective.slope(0.7, 2, case.seed, constant=2.0)
    error, allowed = abs(plain - shifted), 1e-6 * (1 + abs(plain))
    if error > allowed:
        raise Violation(f"the slope {plain:.6g} becomes {shifted:.6g}.", error, allowed)


LAWS = (recovers_the_gaussian, blind_to_constants)
