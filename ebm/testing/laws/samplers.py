"""Laws of samplers: manners, exact identities, and the law that a chain leaves invariant.

What can be exact is exact; the rest is a mean over independent chains that start in the
target, held against its expectation within five standard errors.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ebm.energies import RestrictedBoltzmannMachine
from ebm.samplers import Sampler, State
from ebm.testing.inputs import View
from ebm.testing.law import Vacuous, Violation, law
from ebm.testing.strategies import Case
from ebm.traits import Trait

EPS = torch.finfo(torch.float64).eps
SIGMAS = 5.0
CHAINS = 20_000


class Kernel:
    """A sampler under test.

    Args:
        sampler: The sampler.
        exact: Whether it leaves its target invariant; it is said to if it rejects.
        name: How reports call it.
    """

    def __init__(
        self, sampler: Sampler, *, exact: bool | None = None, name: str | None = None
    ) -> None:
        self.sampler = sampler
        self.name = name or type(sampler).__name__
        self.inputs = (View(2),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()
        self.temperature = float(getattr(sampler, "temperature", 1.0))
        self.step_size = float(getattr(sampler, "step_size", 0.0))
        generator = torch.Generator().manual_seed(0)
        try:
            start = sampler.init(gaussian, torch.full((2, 1), 0.5, dtype=torch.float64))
            after = sampler.transition(gaussian, start, generator)
            self.discrete = False
            self.exact = after.accepted is not None if exact is None else exact
        except (ValueError, TypeError):  # it moves zeros and ones
            self.discrete = True
            self.exact = True if exact is None else exact


def gaussian(x: Tensor) -> Tensor:
    """Return the energy of N(0, 1) in every dimension."""
    return x.flatten(1).square().sum(dim=1) / 2


def gumbel(x: Tensor) -> Tensor:
    """Return the energy of a skewed law with mean 0.5772 and variance pi^2 / 6."""
    return (x + (-x).exp()).flatten(1).sum(dim=1)


def _continuous(kernel: Any) -> str | None:
    return "it moves binary units" if kernel.discrete else None


class _Watched(nn.Module):
    """An energy with flags to lose: a frozen weight, a free one, and a training mode."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.still = nn.Parameter(torch.ones((), dtype=torch.float64), requires_grad=False)
        self.broken = broken

    def forward(self, x: Tensor) -> Tensor:
        if self.broken:
            raise ArithmeticError("a failure inside the energy")
        return self.free * self.still * gaussian(x)


@law(applies=_continuous, small=False, kinds=("gaussian",), share=0.2, scale="none: bit for bit")
def same_seed_same_chain(kernel: Any, case: Case, claim: Any) -> None:
    """Equal generators give equal chains, and nothing else random is drawn."""
    x = case.matrices[0]
    before = torch.get_rng_state()
    first = kernel.sampler.move(gaussian, x, 3, case.generator())
    untouched = torch.equal(before, torch.get_rng_state())
    second = kernel.sampler.move(gaussian, x, 3, case.generator())
    if not torch.equal(first, second):
        worst = float((first - second).abs().max())
        raise Violation("two chains from equal generators differ.", worst, 0.0, [x])
    if not untouched:
        raise Violation("torch's global generator moved though a generator was passed.")


@law(
    applies=_continuous, small=False, kinds=("gaussian",), share=0.1, scale="none: flags are equal"
)
def leaves_things_alone(kernel: Any, case: Case, claim: Any) -> None:
    """Parameters, flags, modes and the start stay as they were, also after an exception."""
    x = case.matrices[0].requires_grad_()
    kept = x.detach().clone()
    for broken in (False, True):
        energy = _Watched(broken=broken).train()
        try:
            moved = kernel.sampler.move(energy, x, 2, case.generator())
        except ArithmeticError:
            moved = None
        changed = [
            name
            for name, wrong in (
                ("requires_grad", not energy.free.requires_grad or energy.still.requires_grad),
                ("the gradients of the parameters", energy.free.grad is not None),
                ("train mode", not energy.training),
                ("grad mode", not torch.is_grad_enabled()),
                ("the start", not torch.equal(x.detach(), kept) or x.grad is not None),
                ("the graph: x is not detached", moved is not None and moved.requires_grad),
            )
            if wrong
        ]
        torch.set_grad_enabled(True)
        if changed:
            when = " after an exception" if broken else ""
            raise Violation(f"the sampler changed {', '.join(changed)}{when}.")


@law(
    applies=_continuous, small=False, kinds=("gaussian",), share=0.2, scale="none: shapes are equal"
)
def keeps_shape(kernel: Any, case: Case, claim: Any) -> None:
    """A chain keeps the shape and the dtype of its configurations, and stays finite."""
    for shape in ((case.n, case.d), (case.n, 1, 2, 2)):
        for dtype in (torch.float64, torch.float32):
            x = torch.zeros(shape, dtype=dtype)
            state = kernel.sampler.init(gaussian, x)
            state = kernel.sampler.transition(gaussian, state, case.generator())
            expected = (shape, (shape[0],), shape)
            found = tuple(tuple(t.shape) for t in (state.x, state.energy, state.score))
            if found != expected or state.x.dtype != dtype:
                raise Violation(
                    f"x, energy and score have shapes {found} in {state.x.dtype}, "
                    f"expected {expected} in {dtype}.",
                )
            if not bool(state.x.isfinite().all()):
                raise Violation("the chain is not finite after one transition.")


@law(applies=_continuous, small=False, kinds=("gaussian",), share=0.2, scale="|energy| + |score|")
def state_is_current(kernel: Any, case: Case, claim: Any) -> None:
    """After a transition the state's energy and score are those at its x."""
    state = kernel.sampler.init(gumbel, case.matrices[0])
    generator = case.generator()
    for _ in range(2):
        state = kernel.sampler.transition(gumbel, state, generator)
    energy, score = gumbel(state.x), (-state.x).exp() - 1
    error = max(
        float((state.energy - energy).abs().max()), float((state.score - score).abs().max())
    )
    allowed = 32 * EPS * (float(energy.abs().max()) + float(score.abs().max()) + 1)
    if not error <= allowed:
        raise Violation("the state carries another point's energy.", error, allowed, [state.x])


@law(
    applies=_continuous,
    small=False,
    kinds=("gaussian",),
    share=0.2,
    scale="|x|, and the rounding of E + c in an acceptance",
)
def constants_do_not_matter(kernel: Any, case: Case, claim: Any) -> None:
    """E and E + c give the same chain."""
    x = case.matrices[0]
    plain = kernel.sampler.move(gumbel, x, 2, case.generator())
    shifted = kernel.sampler.move(lambda x: gumbel(x) + 3.0, x, 2, case.generator())
    error = float((plain - shifted).abs().max())
    allowed = 1e4 * EPS * (1 + float(plain.abs().max()))
    if error > allowed:
        raise Violation("a constant added to the energy changes the chain.", error, allowed, [x])


def _unit(kernel: Any) -> str | None:
    if kernel.discrete:
        return "it moves binary units"
    fields = {field.name for field in dataclasses.fields(kernel.sampler)}
    if not {"step_size", "temperature"} <= fields:
        return "it has no step_size and temperature to rescale"
    return "its temperature is zero" if kernel.temperature == 0 else None


@law(applies=_unit, small=False, kinds=("gaussian",), share=0.2, scale="|x|")
def units_of_energy_do_not_matter(kernel: Any, case: Case, claim: Any) -> None:
    """C E at temperature c T gives the chain of E at T, with the step in its own unit."""
    x, c = case.matrices[0], 3.0
    plain = kernel.sampler.move(gaussian, x, 2, case.generator())
    warm = kernel.temperature * c
    errors = []
    for step in (kernel.step_size / c, kernel.step_size):  # of a gradient, of a momentum
        scaled = dataclasses.replace(kernel.sampler, step_size=step, temperature=warm)
        moved = scaled.move(lambda x: c * gaussian(x), x, 2, case.generator())
        errors.append(float((plain - moved).abs().max()))
    allowed = 1e4 * EPS * (1 + float(plain.abs().max()))
    if min(errors) > allowed:
        message = "energy and temperature times 3 give another chain, whatever the step's unit."
        raise Violation(message, min(errors), allowed, [x])


def _cold(kernel: Any) -> str | None:
    return None if kernel.temperature == 0 else "its temperature is not zero"


@law(applies=_cold, small=False, kinds=("gaussian",), share=0.4, scale="|E|")
def cold_chains_descend(kernel: Any, case: Case, claim: Any) -> None:
    """At temperature zero the energy never rises, for steps below 1 / curvature."""
    if kernel.step_size > 1:
        raise Vacuous
    x = case.matrices[0]
    after = kernel.sampler.move(gaussian, x, 1, case.generator())
    rise = float((gaussian(after) - gaussian(x)).max())
    allowed = 32 * EPS * float(gaussian(x).max())
    if rise > allowed or torch.equal(x, after):
        raise Violation("a step at temperature zero does not descend.", rise, allowed, [x])


def _warm(kernel: Any) -> str | None:
    if kernel.discrete:
        return "it moves binary units"
    return "its temperature is zero" if kernel.temperature == 0 else None


def _exact(kernel: Any) -> str | None:
    if not kernel.exact:
        return "it has a bias of its step size"
    return _warm(kernel)


def _start(energy: Callable[[Tensor], Tensor], temperature: float, n: int, seed: int) -> Tensor:
    """Return exact draws of exp(-energy / temperature) in one dimension."""
    generator = torch.Generator().manual_seed(seed)
    if energy is gaussian:
        noise = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        return math.sqrt(temperature) * noise
    # exp(-(x + exp(-x)) / T): u = exp(-x) / T is Gamma(1 / T).
    shape = torch.full((n, 1), 1 / temperature, dtype=torch.float64)
    return -(temperature * torch._standard_gamma(shape, generator=generator)).log()


@law(
    applies=_warm,
    small=False,
    kinds=("gaussian",),
    share=0.04,
    scale="five standard errors of 20,000 chains; beyond, step_size where nothing is rejected",
    conditions="N(0, T), started in it; a chain that never rejects may be off by its step",
)
def keeps_the_gaussian(kernel: Any, case: Case, claim: Any) -> None:
    """Chains that start in N(0, T) keep its mean and its variance."""
    steps = 20 if kernel.exact else min(150, 10 + math.ceil(2 / max(kernel.step_size, 1e-2)))
    x = _start(gaussian, kernel.temperature, CHAINS, case.seed + 11)
    x = kernel.sampler.move(gaussian, x, steps, case.generator())
    variance = kernel.temperature
    slack = 0.0 if kernel.exact else variance * min(0.5, 1.2 * kernel.step_size)
    _moment("mean", x[:, 0], 0.0, 0.0, steps)
    _moment("variance", x[:, 0].square(), variance, slack, steps)


@law(
    applies=_exact,
    small=False,
    kinds=("gaussian",),
    share=0.04,
    scale="five standard errors of 20,000 chains",
    conditions="exp(-(x + exp(-x)) / T), started in it; samplers that are exact",
)
def keeps_a_skewed_law(kernel: Any, case: Case, claim: Any) -> None:
    """Chains that start in a skewed law keep its moments: a sign shows here."""
    t = kernel.temperature
    x = _start(gumbel, t, CHAINS, case.seed + 13)
    x = kernel.sampler.move(gumbel, x, 20, case.generator())[:, 0]
    mean = -(math.log(t) + float(torch.special.digamma(torch.tensor(1 / t, dtype=torch.float64))))
    variance = float(torch.special.polygamma(1, torch.tensor(1 / t, dtype=torch.float64)))
    _moment("mean", x, mean, 0.0, 20)
    _moment("variance", (x - mean).square(), variance, 0.0, 20)
    _moment("mean of exp(-x)", (-x).exp(), 1.0, 0.0, 20)


@law(
    applies=_exact,
    small=False,
    kinds=("gaussian",),
    share=0.04,
    scale="five standard errors of 20,000 chains",
    conditions="exp(-(x + exp(-x)) / T), started in it; samplers that are exact",
)
def detailed_balance(kernel: Any, case: Case, claim: Any) -> None:
    """In the target, a move from x to y is as frequent as one from y to x."""
    t = kernel.temperature
    x = _start(gumbel, t, CHAINS, case.seed + 17)
    y = kernel.sampler.move(gumbel, x, 1, case.generator())
    first, second = x[:, 0], y[:, 0]
    pairs: list[tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [
        ("x, x^2", lambda x: x, lambda x: x.square()),
        ("x, exp(-x)", lambda x: x, lambda x: (-x).exp()),
        ("x > 0, x", lambda x: (x > 0).to(x.dtype), lambda x: x),
    ]
    for name, f, g in pairs:
        flow = f(first) * g(second) - g(first) * f(second)
        _moment(f"flow of ({name})", flow, 0.0, 0.0, 1)


def _moment(name: str, values: Tensor, expected: float, slack: float, steps: int) -> None:
    if not bool(values.isfinite().all()):
        raise Violation(f"{name}: chains are not finite after {steps} transitions.")
    error = abs(float(values.mean()) - expected)
    deviation = float(values.std()) / math.sqrt(len(values))
    allowed = SIGMAS * deviation + slack
    if error > allowed:
        found = float(values.mean())
        message = f"{name} is {found:.5g} after {steps} transitions, expected {expected:.5g}."
        raise Violation(message, error, allowed)


def _proposes(kernel: Any) -> str | None:
    wanted = ("propose", "log_proposal", "log_accept")
    missing = [name for name in wanted if not hasattr(kernel.sampler, name)]
    return f"it does not show its {missing[0]}" if missing else _warm(kernel)


@law(
    applies=_proposes,
    small=False,
    kinds=("gaussian",),
    share=0.5,
    scale="the largest of the logarithms",
)
def pointwise_detailed_balance(kernel: Any, case: Case, claim: Any) -> None:
    """Log pi(x) + log q(x -> y) + log accept(x, y) is the same with x and y exchanged."""
    sampler, t = kernel.sampler, kernel.temperature
    x = case.matrices[0]
    here: State = sampler.init(gumbel, x)
    noise = torch.randn(x.shape, generator=case.generator(), dtype=x.dtype)
    there: State = sampler.init(gumbel, sampler.propose(here, noise))
    forward = -here.energy / t + sampler.log_proposal(there.x, here)
    backward = -there.energy / t + sampler.log_proposal(here.x, there)
    left = forward + sampler.log_accept(here, there)
    right = backward + sampler.log_accept(there, here)
    if not bool(left.isfinite().all() & right.isfinite().all()):
        raise Vacuous
    scale = float(torch.cat([forward.abs(), backward.abs(), left.abs(), right.abs()]).max())
    error = float((left - right).abs().max())
    if error > 32 * EPS * (scale + 1):
        message = "a move and its reverse are not in balance."
        raise Violation(message, error, 32 * EPS * (scale + 1), [x, there.x])


@law(
    applies=_proposes,
    small=False,
    kinds=("gaussian",),
    share=0.3,
    scale="the logarithms of the densities",
)
def proposals_have_their_density(kernel: Any, case: Case, claim: Any) -> None:
    """log_proposal is the density of what propose draws: of a Gaussian, moved and scaled."""
    sampler = kernel.sampler
    x = case.matrices[0]
    state = sampler.init(gumbel, x)
    noise = torch.randn(x.shape, generator=case.generator(), dtype=x.dtype)
    center = sampler.propose(state, torch.zeros_like(x))
    spread = float((sampler.propose(state, torch.ones_like(x)) - center).flatten()[0])
    drawn = sampler.propose(state, noise)
    size = x[0].numel()
    expected = -noise.square().flatten(1).sum(dim=1) / 2 - size / 2 * math.log(
        2 * math.pi * spread**2
    )
    found = sampler.log_proposal(drawn, state)
    error = float((found - expected).abs().max())
    allowed = 1e4 * EPS * (1 + float(expected.abs().max()))
    if error > allowed:
        message = "the density of a proposal is not that of its draws."
        raise Violation(message, error, allowed, [x])


def _rides(kernel: Any) -> str | None:
    return None if hasattr(kernel.sampler, "leapfrog") else "it has no leapfrog"


@law(applies=_rides, small=False, kinds=("gaussian",), share=0.3, scale="|x| + |p|, per step")
def leapfrog_is_reversible(kernel: Any, case: Case, claim: Any) -> None:
    """Riding on with the momentum flipped leads back to the start."""
    x = case.matrices[0]
    p = torch.randn(x.shape, generator=case.generator(), dtype=x.dtype)
    start = kernel.sampler.init(gumbel, x)
    end, arrived = kernel.sampler.leapfrog(gumbel, start, p)
    back, momentum = kernel.sampler.leapfrog(gumbel, end, -arrived)
    error = max(float((back.x - x).abs().max()), float((momentum + p).abs().max()))
    stiff = float((-torch.minimum(x, end.x)).exp().max())
    allowed = 1e4 * EPS * (1 + float(x.abs().max()) + float(arrived.abs().max())) * max(1.0, stiff)
    if not error <= allowed:
        raise Violation("the ride back misses its start.", error, allowed, [x, p])


@law(
    applies=_rides,
    small=False,
    kinds=("gaussian",),
    share=0.2,
    scale="1; finite differences of 1e-5",
)
def leapfrog_keeps_volume(kernel: Any, case: Case, claim: Any) -> None:
    """The Jacobian of a ride in (x, p) has determinant one."""
    x = case.matrices[0][:, :1]
    p = torch.randn(x.shape, generator=case.generator(), dtype=x.dtype)
    h = 1e-5

    def ride(dx: float, dp: float) -> tuple[Tensor, Tensor]:
        start = kernel.sampler.init(gumbel, x + dx)
        end, arrived = kernel.sampler.leapfrog(gumbel, start, p + dp)
        return end.x, arrived

    columns = []
    for dx, dp in ((h, 0.0), (0.0, h)):
        (ux, up), (vx, vp) = ride(dx, dp), ride(-dx, -dp)
        columns.append(((ux - vx) / (2 * h), (up - vp) / (2 * h)))
    determinant = columns[0][0] * columns[1][1] - columns[0][1] * columns[1][0]
    calm = x.abs().max() < 2.5
    error = float((determinant - 1).abs().max())
    if calm and error > 1e-3:
        raise Violation("a ride stretches or shrinks phase space.", error, 1e-3, [x, p])


@law(
    applies=_rides,
    small=False,
    kinds=("gaussian",),
    share=0.1,
    scale="the ratio 4, within a third",
    conditions="a quadratic energy; step sizes well below stability",
)
def energy_error_is_second_order(kernel: Any, case: Case, claim: Any) -> None:
    """At a fixed length of the ride, half the step gives a quarter of the error in H."""
    x = case.matrices[0][:, :1]
    p = torch.randn(x.shape, generator=case.generator(), dtype=x.dtype)
    scale = math.sqrt(max(kernel.temperature, 1e-12))
    errors = []
    for halvings in (3, 4):
        steps = kernel.sampler.leapfrog_steps * 2**halvings
        step = min(kernel.step_size, scale) / 2**halvings
        sampler = dataclasses.replace(kernel.sampler, step_size=step, leapfrog_steps=steps)
        start = sampler.init(gaussian, x)
        end, arrived = sampler.leapfrog(gaussian, start, p)
        change = sampler.hamiltonian(end, arrived) - sampler.hamiltonian(start, p)
        errors.append(change.abs())
    steady = errors[1] > 1e-9
    if not bool(steady.any()):
        raise Vacuous
    ratio = float((errors[0][steady] / errors[1][steady]).median())
    if not 2.7 < ratio < 5.3:
        message = f"half the step divides the error in H by {ratio:.3g}, not by 4."
        raise Violation(message, abs(ratio - 4), 1.3, [x, p])


def _discrete(kernel: Any) -> str | None:
    return None if kernel.discrete else "it moves real numbers"


def _machine(seed: int) -> tuple[RestrictedBoltzmannMachine, Tensor]:
    """Return a small machine with strong weights, and all states of its visible units."""
    machine = RestrictedBoltzmannMachine(3, 2).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in machine.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return machine, torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 3)


@law(
    applies=_discrete,
    small=False,
    kinds=("gaussian",),
    share=0.04,
    scale="five standard errors of the frequency of each state, 20,000 chains",
    conditions="a Boltzmann machine of three visible units, started in its law",
)
def keeps_an_enumerated_law(kernel: Any, case: Case, claim: Any) -> None:
    """Chains that start in the law of a machine small enough to enumerate stay in it."""
    machine, states = _machine(case.seed)
    law_of_states = torch.softmax(-machine(states).detach() / kernel.temperature, dim=0)
    generator = torch.Generator().manual_seed(case.seed + 19)
    drawn = torch.multinomial(law_of_states, CHAINS, replacement=True, generator=generator)
    x = kernel.sampler.move(machine, states[drawn], 3, generator)
    places = (x @ torch.tensor([4.0, 2.0, 1.0], dtype=x.dtype)).long()
    found = torch.bincount(places, minlength=8) / CHAINS
    allowed = SIGMAS * (law_of_states * (1 - law_of_states) / CHAINS).sqrt() + 1 / CHAINS
    off = (found - law_of_states).abs() / allowed
    worst = int(off.argmax())
    if float(off[worst]) > 1:
        message = (
            f"state {states[worst].long().tolist()} has frequency {float(found[worst]):.4g} "
            f"after 3 transitions, expected {float(law_of_states[worst]):.4g}."
        )
        error = abs(float(found[worst] - law_of_states[worst]))
        raise Violation(message, error, float(allowed[worst]))


@law(applies=_discrete, small=False, kinds=("gaussian",), share=0.1, scale="none: bit for bit")
def binary_chains_repeat(kernel: Any, case: Case, claim: Any) -> None:
    """Binary units stay zeros and ones, and equal generators give equal chains."""
    machine, states = _machine(case.seed)
    before = torch.get_rng_state()
    first = kernel.sampler.move(machine, states, 3, case.generator())
    untouched = torch.equal(before, torch.get_rng_state())
    second = kernel.sampler.move(machine, states, 3, case.generator())
    if not torch.equal(first, second) or not untouched:
        raise Violation("two chains from equal generators differ, or it draws elsewhere.")
    if not bool(((first == 0) | (first == 1)).all()) or first.shape != states.shape:
        raise Violation("a unit is neither zero nor one, or the shape changed.")
    if first.requires_grad or not all(p.requires_grad for p in machine.parameters()):
        raise Violation("the chain carries a graph, or parameters were left frozen.")


LAWS = (
    keeps_an_enumerated_law,
    binary_chains_repeat,
    keeps_shape,
    same_seed_same_chain,
    leaves_things_alone,
    state_is_current,
    constants_do_not_matter,
    units_of_energy_do_not_matter,
    cold_chains_descend,
    keeps_the_gaussian,
    keeps_a_skewed_law,
    detailed_balance,
    pointwise_detailed_balance,
    proposals_have_their_density,
    leapfrog_is_reversible,
    leapfrog_keeps_volume,
    energy_error_is_second_order,
)
