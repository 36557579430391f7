"""The same value in another arithmetic: float32, a compiled graph, a restored state."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ebm.testing.law import Vacuous, Violation, law
from ebm.testing.laws.universal import draws_nothing
from ebm.testing.strategies import Case
from ebm.testing.subject import Subject, is_floating


def _double(subject: Subject) -> str | None:
    if subject.dtype != torch.float64:
        return "it does not run in float64"
    return draws_nothing(subject)


@law(
    applies=_double,
    kinds=("gaussian", "close", "equal", "collapsed", "orthonormal"),
    conditions="inputs of size 1: a mean of 1e3 costs a naive covariance all its digits",
    scale="the loss, sum |gradient * input|, and 20 for a temperature of 0.05",
)
def float32(subject: Subject, case: Case, claim: Any) -> None:
    """In float32 the value is that of float64, within the rounding of its inputs."""
    rounded = [_single(a) for a in case.arguments]
    exact = subject.values([a.double() if is_floating(a) else a for a in rounded]).detach()
    value = subject.single(rounded).reshape(exact.shape)
    if not bool(exact.isfinite().all()):
        raise Vacuous
    scale = subject.magnitude(case.arguments) + 20.0 * min(1.0, subject.typical)
    allowed = 32 * torch.finfo(torch.float32).eps * scale
    error = float((value.double() - exact).abs().max())
    if not error <= allowed:
        message = f"float32 gives {float(value.mean()):.8g}, float64 {float(exact.mean()):.8g}."
        raise Violation(message, error, allowed, rounded)


def _module(subject: Subject) -> str | None:
    return None if isinstance(subject.call, nn.Module) else "it is no module"


@law(applies=_module, kinds=("gaussian",), small=False, share=0.1, scale="none: bit for bit")
def state_round_trip(subject: Subject, case: Case, claim: Any) -> None:
    """A state dict, loaded into a fresh copy, restores the value: all state is in it."""
    subject.restore()
    if not isinstance(subject.call, nn.Module):
        raise Vacuous
    fresh, used = copy.deepcopy(subject.call), copy.deepcopy(subject.call)
    arguments = [a.to(subject.dtype) if is_floating(a) else a for a in case.arguments]
    torch.default_generator.manual_seed(0)
    used(*arguments)
    try:
        fresh.load_state_dict(used.state_dict())
    except RuntimeError as error:
        message = f"its own state cannot be loaded: {str(error).splitlines()[-1].strip()[:160]}"
        raise Violation(message, inputs=case.arguments) from error
    torch.default_generator.manual_seed(0)
    expected = used(*arguments).detach()
    torch.default_generator.manual_seed(0)
    found = fresh(*arguments).detach()
    if not torch.equal(expected.nan_to_num(), found.nan_to_num()):
        error = float((expected - found).abs().max())
        message = "a copy with the same state dict gives another value. Register its buffers."
        raise Violation(message, error, 0.0, case.arguments)


@law(
    applies=_double,
    small=False,
    kinds=("gaussian", "close"),
    share=0.1,
    conditions="opt-in: it needs a compiler and minutes",
)
def compiled(subject: Subject, case: Case, claim: Any) -> None:
    """torch.compile gives the value and the gradient of eager mode."""
    function = subject.compiled()
    leaves = [a.clone().requires_grad_() if is_floating(a) else a for a in case.arguments]
    value = function(*leaves).double()
    exact = subject.values(case.arguments).detach()
    scale = subject.magnitude(case.arguments)
    wanted = [leaf for leaf in leaves if is_floating(leaf)]
    error = float((value.detach() - exact).abs().max())
    found = torch.autograd.grad(value.mean(), wanted, materialize_grads=True)
    eager = [g for g in subject.gradients(case.arguments) if g is not None]
    for mine, theirs in zip(found, eager, strict=True):
        error = max(error, float((mine - theirs).abs().max()))
    allowed = 32 * subject.eps * scale
    if not error <= allowed:
        raise Violation("compiled and eager differ.", error, allowed, case.arguments)


def _single(a: Tensor | float) -> Tensor | float:
    return a.float() if isinstance(a, Tensor) and a.is_floating_point() else a


LAWS = (float32, state_round_trip)
