"""Laws of latent energies: what inference may do, and what a free energy is."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ebm.testing.inputs import View
from ebm.testing.law import Violation, law
from ebm.testing.strategies import Case
from ebm.traits import Trait

EPS = torch.finfo(torch.float64).eps


class Inferring:
    """A latent energy with a rule of inference, under test.

    Args:
        energy: E(x, z), (batch,); with `smooth`, `proximal` and `curvature` where it is sparse.
        infer: From x, and perhaps a start, to z.
        dim: The dimension of x.
        code: The dimension of z.
        name: How reports call it.
        convex: Whether E is convex in z, so that inference finds the least energy.
    """

    def __init__(
        self,
        energy: Callable[..., Tensor],
        infer: Callable[..., Tensor],
        dim: int,
        code: int,
        name: str = "inference",
        *,
        convex: bool = True,
    ) -> None:
        self.energy, self.infer, self.code = energy, infer, code
        self.name, self.convex = name, convex
        self.inputs = (View(dim),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()

    def point(self, case: Case) -> tuple[Tensor, Tensor]:
        """Return data of this case, and latents that have nothing to do with them."""
        x = case.matrices[0]
        z = torch.randn(case.n, self.code, generator=case.generator(), dtype=x.dtype)
        return x, z * (torch.rand(z.shape, generator=case.generator()) < 0.5)


@law(small=False, kinds=("gaussian", "close"), share=0.5, scale="E at the start; 1e-9 of it")
def inference_never_climbs(rule: Any, case: Case, claim: Any) -> None:
    """Inference ends no higher than it started."""
    x, z = rule.point(case)
    start = rule.energy(x, z).detach()
    found = rule.energy(x, rule.infer(x, z)).detach()
    rise = float((found - start).max())
    allowed = 1e-9 * (1 + float(start.abs().max()))
    if not rise <= allowed:
        raise Violation(f"inference raises the energy by {rise:.4g}.", rise, allowed, [x, z])


def _convex(rule: Any) -> str | None:
    return None if rule.convex else "it is not said to be convex"


@law(
    applies=_convex,
    small=False,
    kinds=("gaussian", "close"),
    share=0.5,
    scale="E there and |x|^2; 1e-3 of it, for the rule's own tolerance",
)
def inference_is_the_minimum(rule: Any, case: Case, claim: Any) -> None:
    """No step around what inference found, however small, has a lower energy (F_0 <= E)."""
    x, start = rule.point(case)
    z = rule.infer(x, start).detach()
    least = rule.energy(x, z).detach()
    scale = least.abs() + x.square().sum(dim=1)
    generator = case.generator()
    for size in (1.0, 0.3, 0.1, 0.03):
        for _ in range(4):
            noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
            keep = torch.rand(z.shape, generator=generator) < 0.4
            for other in (z + size * noise * keep, z * (1 - size), z * keep):
                gap = least - rule.energy(x, other).detach()
                worst = float((gap / scale).max())
                if worst > 1e-3:
                    message = f"a latent nearby has an energy lower by {float(gap.max()):.4g}."
                    raise Violation(message, worst, 1e-3, [x, z])


def _sparse(rule: Any) -> str | None:
    return None if hasattr(rule.energy, "sparsity_weight") else "it has no sparsity weight"


@law(
    applies=_sparse,
    small=False,
    kinds=("gaussian", "close"),
    share=0.5,
    scale="the sparsity weight; 0.05 of it, for the rule's own tolerance",
)
def optimal_codes(rule: Any, case: Case, claim: Any) -> None:
    """At the code the slope of the smooth part is the sparsity weight, and less where z is 0."""
    x, start = rule.point(case)
    z = rule.infer(x, start).detach().requires_grad_()
    weight = float(rule.energy.sparsity_weight)
    (slope,) = torch.autograd.grad(rule.energy.smooth(x, z).sum(), z)
    active = z.detach().abs() > 1e-2 * float(z.detach().abs().max() + 1e-12)
    outside = float((slope.abs() - weight).max())
    off = (slope + weight * z.detach().sign())[active]
    inside = float(off.abs().max()) if off.numel() else 0.0
    allowed = 0.05 * (weight + float(x.square().sum(dim=1).max().sqrt()))
    if max(outside, inside) > allowed:
        message = "the code is not optimal: the slope does not balance the sparsity."
        raise Violation(message, max(outside, inside), allowed, [x, z.detach()])


class Softening:
    """A free energy of finitely many energies, under test.

    Args:
        free: (energies (n, states), temperature) -> (n,), normalized: -T log mean exp(-E / T).
        name: How reports call it.
    """

    def __init__(self, free: Callable[[Tensor, float], Tensor], name: str = "free energy") -> None:
        self.free, self.name = free, name
        self.inputs = (View(),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()


TEMPERATURES = (0.05, 0.5, 1.0, 7.0, 100.0)


def _size(energies: Tensor, temperature: float) -> float:
    return float(energies.abs().max()) + temperature * math.log(energies.shape[1] + 1.0) + 10.0


@law(scale="max |E| + T log n")
def free_energy_is_between(soft: Any, case: Case, claim: Any) -> None:
    """Min E <= F_T <= mean E, and F_T does not fall as T grows."""
    energies = case.matrices[0]
    before = energies.amin(dim=1)
    for t in (*TEMPERATURES, None):
        value = energies.mean(dim=1) if t is None else soft.free(energies, t)
        allowed = 32 * EPS * _size(energies, t or 1.0)
        fall = float((before - value).max())
        if not fall <= allowed:
            message = f"F falls by {fall:.4g} on the way from min E over T = {t} to mean E."
            raise Violation(message, fall, allowed, [energies])
        before = value


@law(scale="max |E| + |c| + T log n")
def free_energy_shifts(soft: Any, case: Case, claim: Any) -> None:
    """F(E + c) = F(E) + c, whatever the order of the states."""
    energies = case.matrices[0]
    order = torch.randperm(case.d, generator=case.generator())
    for t in TEMPERATURES:
        left = soft.free(energies[:, order] + 3.0, t)
        right = soft.free(energies, t) + 3.0
        error = float((left - right).abs().max())
        allowed = 32 * EPS * _size(energies, t)
        if not error <= allowed:
            raise Violation(f"at T = {t} F does not shift with E.", error, allowed, [energies])


@law(scale="max |E|", kinds=("gaussian", "huge", "tiny", "collapsed"))
def one_state_is_its_energy(soft: Any, case: Case, claim: Any) -> None:
    """With one state, or equal states, F = E at any temperature."""
    energies = case.matrices[0][:, :1].expand(-1, 3)
    for t in TEMPERATURES:
        error = float((soft.free(energies, t) - energies[:, 0]).abs().max())
        allowed = 32 * EPS * _size(energies, t)
        if not error <= allowed:
            raise Violation(f"at T = {t} equal states have another F.", error, allowed, [energies])


@law(
    small=False,
    kinds=("gaussian", "huge"),
    scale="1",
)
def responsibilities(soft: Any, case: Case, claim: Any) -> None:
    """dF/dE is softmax(-E / T): positive, and one in sum."""
    energies = case.matrices[0].clone().requires_grad_()
    for t in TEMPERATURES:
        (found,) = torch.autograd.grad(soft.free(energies, t).sum(), energies)
        expected = torch.softmax(-energies.detach() / t, dim=1)
        if not bool(found.isfinite().all()):
            raise Violation(f"at T = {t} the gradient is not finite.", inputs=[energies.detach()])
        error = float((found - expected).abs().max())
        allowed = 1e4 * EPS * (1 + float(energies.detach().abs().max()) / t)
        if error > allowed:
            message = f"at T = {t} the gradient is not softmax(-E / T)."
            raise Violation(message, error, allowed, [energies.detach()])


class Shrinking:
    """A soft threshold, (u, threshold) -> z, under test."""

    def __init__(self, shrink: Callable[[Tensor, float], Tensor], name: str = "threshold") -> None:
        self.shrink, self.name = shrink, name
        self.inputs = (View(), View())
        self.least = 2
        self.traits: tuple[Trait, ...] = ()


@law(scale="|u|")
def soft_thresholds(rule: Any, case: Case, claim: Any) -> None:
    """A soft threshold is odd, shrinks, zeroes what is small, and never stretches a distance."""
    u, v = case.matrices
    threshold = 0.5 + case.seed % 3
    s, r = rule.shrink(u, threshold), rule.shrink(v, threshold)
    allowed = 32 * EPS * (1 + float(u.abs().max()) + float(v.abs().max()))
    kept = (u.abs() - threshold).clamp(min=0)
    checks = (
        ("odd", float((rule.shrink(-u, threshold) + s).abs().max())),
        ("shrinking by the threshold", float((kept - s.abs()).abs().max())),
        ("keeping the sign", float((-s * u).max())),
        ("non-expansive", float(((s - r).abs() - (u - v).abs()).max())),
    )
    for word, error in checks:
        if error > allowed:
            raise Violation(f"it is not {word}.", error, allowed, [u, v])


INFERENCE = (inference_never_climbs, inference_is_the_minimum, optimal_codes)
FREE_ENERGY = (
    free_energy_is_between,
    free_energy_shifts,
    one_state_is_its_energy,
    responsibilities,
)
THRESHOLD = (soft_thresholds,)
LAWS = (*INFERENCE, *FREE_ENERGY, *THRESHOLD)
