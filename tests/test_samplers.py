"""Samplers: exact identities first, then seeded statistics with z-scores below five."""

import functools
import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import ebm
from ebm import checks, energies
from ebm.samplers import HMC, MALA, Langevin, Sampler, State, chain

EPS = torch.finfo(torch.float64).eps
EXACT = [
    MALA(0.1),
    MALA(0.3, temperature=2.0),
    HMC(0.2, leapfrog_steps=4),
    HMC(0.6, leapfrog_steps=3, temperature=2),
]
ALL = [Langevin(0.05), Langevin(0.05, temperature=0), MALA(0.05), HMC(0.1, leapfrog_steps=3)]
BANANA = energies.Banana()

seeds = st.integers(0, 2**31 - 1)
temperatures = st.floats(0.1, 5)
step_sizes = st.floats(1e-3, 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def z_score(values, expected):
    """Distance of a mean of independent values from its expectation, in standard errors."""
    return float((values.mean() - expected).abs() / (values.std() / math.sqrt(len(values))))


def well_x(variance):
    return lambda x: x.flatten(1).square().sum(-1) / (2 * variance)


def gradient_of_banana(x):
    first, second = x.unbind(-1)
    across = (second - 0.5 * (first**2 - 1.5**2)) / 0.5**2
    return torch.stack([first / 1.5**2 - across * first, across], dim=-1)


def gumbel(x):
    """A skewed density, exp(-x - exp(-x)): mean 0.5772 (Euler), variance pi^2 / 6."""
    return (x + (-x).exp()).sum(-1)


# --- Langevin ---------------------------------------------------------------------------


def test_langevin_on_a_gaussian_is_the_autoregression():
    v, step_size, temperature = 0.7, 0.3, 1.9
    x = normal(5, 1, seed=1)
    moved = Langevin(step_size, temperature=temperature).move(well_x(v), x, 20, generator(3))
    noise = generator(3)
    for _ in range(20):
        xi = torch.randn(5, 1, generator=noise, dtype=torch.float64)
        x = (1 - step_size / v) * x + math.sqrt(2 * step_size * temperature) * xi
    assert torch.allclose(moved, x, rtol=0, atol=20 * 32 * EPS)


@given(v=st.floats(0.3, 5), share=st.floats(0.01, 1.9), temperature=temperatures)
def test_langevin_has_the_variance_of_theory(v, share, temperature):
    sampler = Langevin(share * v, temperature=temperature)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    kept = sampler.propose(one, ebm.score(well_x(v), one), zero)
    added = sampler.propose(zero, ebm.score(well_x(v), zero), one)
    stationary = float(added**2 / (1 - kept**2))
    assert stationary == pytest.approx(temperature * v / (1 - share / 2), rel=1e-9)


def test_langevin_bias_is_seen_and_mala_removes_it():
    v, step_size, temperature, count = 2.0, 1.5, 0.5, 20_000
    start = torch.zeros(count, 1)
    biased = Langevin(step_size, temperature=temperature).move(well_x(v), start, 60, generator())
    exact = MALA(step_size, temperature=temperature).move(well_x(v), start, 60, generator())
    theory = temperature * v / (1 - step_size / (2 * v))
    assert z_score(biased.square().squeeze(), theory) < 5
    assert z_score(biased.square().squeeze(), temperature * v) > 20
    assert z_score(exact.square().squeeze(), temperature * v) < 5


def test_langevin_is_unstable_from_twice_the_variance_on():
    still = Langevin(1.99, temperature=0).move(well_x(1.0), torch.ones(1, 1), 200)
    wild = Langevin(2.01, temperature=0).move(well_x(1.0), torch.ones(1, 1), 200)
    assert float(still.abs()) < 1 < float(wild.abs())


def test_zero_temperature_descends_and_draws_nothing():
    noise = generator(5)
    before = noise.get_state()
    energy = energies.Gaussian(covariance=[[2.0, 0.5], [0.5, 1.0]]).double()
    x = 3 * normal(50, 2)
    record = chain(Langevin(0.5, temperature=0), energy, x, 50, generator=noise)
    path = torch.cat([energy(x)[None], record.energies])
    assert bool((path.diff(dim=0) <= 0).all())
    assert float(path[-1].max()) < 1e-6
    assert torch.equal(noise.get_state(), before)


def test_noise_and_step_imply_a_temperature_that_the_sampler_states():
    sampler = Langevin(10.0, noise=0.005)
    assert sampler.temperature == pytest.approx(1.25e-6)
    assert sampler.noise_scale == pytest.approx(0.005)
    assert repr(sampler) == "Langevin(10, temperature=1.25e-06)"
    assert Langevin(0.5, noise=0.0).temperature == 0
    with pytest.raises(ValueError, match="noise must be given without a temperature"):
        Langevin(0.1, temperature=2.0, noise=0.1)
    with pytest.raises(ValueError, match="noise must"):
        Langevin(0.1, noise=-0.1)


def test_langevin_passes_values_through_that_are_not_finite():
    def walled(x):
        return (x - x.log()).sum(-1)

    state = Langevin(0.1).init(walled, torch.tensor([[-1.0], [1.0]]))
    state = Langevin(0.1).transition(walled, state)
    assert not bool(state.energy[0].isfinite())
    assert state.accepted is None


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_langevin_moves_as_its_transitions_do(temperature):
    sampler, x = Langevin(0.05, temperature=temperature), normal(6, 2)
    noise, state = generator(2), sampler.init(BANANA, x)
    for _ in range(7):
        state = sampler.transition(BANANA, state, noise)
    assert torch.equal(state.x, sampler.move(BANANA, x, 7, generator(2)))
    assert torch.equal(state.energy, BANANA(state.x))
    assert torch.equal(state.score, ebm.score(BANANA, state.x))


# --- MALA -------------------------------------------------------------------------------


@given(seed=seeds, step_size=step_sizes, temperature=temperatures)
def test_mala_balances_every_pair_of_points(seed, step_size, temperature):
    sampler = MALA(step_size, temperature=temperature)
    here = sampler.init(BANANA, 2 * normal(20, 2, seed=seed))
    there = sampler.init(BANANA, sampler.propose(here, normal(20, 2, seed=seed + 1)))

    def flow(a, b):
        parts = (-a.energy / temperature, sampler.log_proposal(b.x, a), sampler.log_accept(a, b))
        return sum(parts), sum(part.abs() for part in parts)

    (forward, size), (backward, other) = flow(here, there), flow(there, here)
    assert bool(((forward - backward).abs() <= 32 * EPS * torch.maximum(size, other)).all())
    # One of the two directions is always accepted: otherwise the kernel wastes proposals.
    best = torch.maximum(sampler.log_accept(here, there), sampler.log_accept(there, here))
    assert float(best.abs().max()) <= 1e-9


@given(seed=seeds, step_size=step_sizes, temperature=temperatures)
def test_mala_proposes_with_the_density_that_it_states(seed, step_size, temperature):
    sampler = MALA(step_size, temperature=temperature)
    state = sampler.init(BANANA, normal(5, 2, seed=seed))
    x = sampler.propose(state, normal(5, 2, seed=seed + 1))
    center = state.x - step_size * gradient_of_banana(state.x)
    variance = 2 * step_size * temperature
    densities = (-(x - center).square() / (2 * variance)).exp() / math.sqrt(2 * math.pi * variance)
    assert torch.allclose(sampler.log_proposal(x, state), densities.log().sum(-1), rtol=1e-9)


@pytest.mark.parametrize(
    "sampler", [MALA(0.1), MALA(0.2, temperature=2.0), HMC(0.4), HMC(0.5, temperature=2)], ids=str
)
def test_proposals_are_accepted_by_their_probability(sampler):
    start = sampler.init(BANANA, normal(400, 2))
    after = sampler.transition(BANANA, start, generator(4))
    noise = generator(4)
    draw = torch.randn(400, 2, generator=noise, dtype=torch.float64)
    if isinstance(sampler, MALA):
        there = sampler.init(BANANA, sampler.propose(start, draw))
        log_ratio = sampler.log_accept(start, there)
    else:
        there, momentum = sampler.leapfrog(BANANA, start, draw)
        log_ratio = sampler.hamiltonian(start, draw) - sampler.hamiltonian(there, momentum)
    uniform = torch.rand(400, generator=noise, dtype=torch.float64)
    accepted = uniform < log_ratio.exp()
    assert torch.equal(after.accepted, accepted)
    assert 20 < int(accepted.sum()) < 400
    assert torch.allclose(after.proposal, there.x, equal_nan=True)  # some rides diverge
    assert torch.allclose(after.x, torch.where(accepted[:, None], there.x, start.x))
    assert torch.allclose(after.energy, BANANA(after.x))
    assert torch.allclose(after.score, ebm.score(BANANA, after.x))


# --- HMC --------------------------------------------------------------------------------


def ride(sampler, x, momentum, energy=BANANA):
    state, momentum = sampler.leapfrog(energy, sampler.init(energy, x), momentum)
    return state.x, momentum


@given(seed=seeds, step_size=st.floats(0.01, 0.2), temperature=st.floats(1, 5))
def test_leapfrog_is_reversible(seed, step_size, temperature):
    sampler = HMC(step_size, leapfrog_steps=20, temperature=temperature)
    x, momentum = normal(4, 2, seed=seed), normal(4, 2, seed=seed + 1)
    there, arrived = ride(sampler, x, momentum)
    back, returned = ride(sampler, there, -arrived)
    assert float((there - x).norm(dim=-1).min()) > 1e-3
    assert torch.allclose(back, x, rtol=0, atol=1e-9)
    assert torch.allclose(-returned, momentum, rtol=0, atol=1e-9)


@given(seed=seeds)
def test_leapfrog_preserves_volume(seed):
    sampler, h = HMC(0.2, leapfrog_steps=5), 1e-5
    point = normal(4, seed=seed)
    bumps = torch.cat([h * torch.eye(4), -h * torch.eye(4)]).double()
    start = point + bumps
    end = torch.cat(ride(sampler, start[:, :2], start[:, 2:]), dim=-1)
    jacobian = (end[:4] - end[4:]) / (2 * h)
    assert float(jacobian.det()) == pytest.approx(1, abs=1e-6)
    assert float((jacobian - torch.eye(4)).abs().max()) > 0.1


def test_leapfrog_preserves_volume_to_rounding_where_it_is_linear():
    sampler, energy = HMC(0.3, leapfrog_steps=7), energies.Gaussian(covariance=0.5).double()
    x, momentum = torch.eye(4, dtype=torch.float64).split(2, dim=-1)
    jacobian = torch.cat(ride(sampler, x, momentum, energy), dim=-1)
    assert float(jacobian.det()) == pytest.approx(1, abs=32 * EPS)


def test_leapfrog_error_falls_fourfold_when_the_step_halves():
    x, momentum = normal(50, 2, seed=1), normal(50, 2, seed=2)

    def error(step_size, steps):
        sampler = HMC(step_size, leapfrog_steps=steps, temperature=1.3)
        start = sampler.init(BANANA, x)
        end, arrived = sampler.leapfrog(BANANA, start, momentum)
        return sampler.hamiltonian(end, arrived) - sampler.hamiltonian(start, momentum)

    ratio = error(2e-3, 200).norm() / error(1e-3, 400).norm()
    assert float(ratio) == pytest.approx(4, abs=0.02)


@pytest.mark.parametrize(("step_size", "stable"), [(0.99, True), (1.01, False)])
def test_leapfrog_is_stable_below_two_over_the_frequency(step_size, stable):
    v, temperature = 0.5, 2.0
    sampler = HMC(2 * math.sqrt(v * temperature) * step_size, leapfrog_steps=300, temperature=2)
    x, momentum = torch.ones(1, 1).double(), torch.ones(1, 1).double()
    there, _ = ride(sampler, x, momentum, well_x(v))
    assert (float(there.abs()) < 100) == stable


def test_hmc_samples_an_ill_conditioned_gaussian():
    energy = energies.Gaussian(covariance=[[4.0, 0.0], [0.0, 0.04]])
    sampler, start = HMC(0.25, leapfrog_steps=12), torch.ones(4_000, 2)
    x = sampler.move(energy, start, 25, generator())
    assert z_score(x[:, 0].square(), 4.0) < 5
    assert z_score(x[:, 1].square(), 0.04) < 5
    assert z_score(x.prod(-1), 0.0) < 5


# --- What all of them share -------------------------------------------------------------

TARGETS = [
    energies.Gaussian([1.0, -2.0], [[1.0, 0.6], [0.6, 0.5]]),
    energies.DoubleWell(),
    energies.Ring(),
    energies.Banana(),
    energies.Funnel(),
    energies.GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.1], [1, 3]),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("sampler", [MALA(0.08), HMC(0.3, leapfrog_steps=5)], ids=str)
def test_exact_samplers_leave_the_target_as_it_is(sampler, target):
    start = target.sample(5_000, generator(1))
    x = sampler.move(target, start, 10, generator(2))
    moved = (x - start).norm(dim=-1) > 0
    assert float(moved.float().mean()) > 0.9
    for statistic in (target, lambda x: x[:, 0], lambda x: x[:, 1], lambda x: x[:, 0] * x[:, 1]):
        # Paired differences: their mean is zero, and most of the noise cancels.
        assert z_score(statistic(x) - statistic(start), 0.0) < 5


@pytest.mark.parametrize("sampler", EXACT, ids=str)
def test_skewed_targets_at_their_temperature(sampler):
    # At temperature T, exp(-E / T) of the Gumbel energy has exp(-x) ~ Gamma(1 / T, T).
    x = sampler.move(gumbel, torch.zeros(4_000, 1), 120, generator(7)).squeeze()
    shape = 1 / sampler.temperature
    assert z_score((-x).exp(), 1.0) < 5
    mean = -(float(torch.digamma(torch.tensor(shape))) + math.log(sampler.temperature))
    assert z_score(x, mean) < 5


@given(seed=seeds, factor=st.floats(0.2, 5))
def test_scaling_energy_and_temperature_alike_changes_nothing(seed, factor):
    x = normal(6, 2, seed=seed)
    pairs = [
        (Langevin(0.1), Langevin(0.1 / factor, temperature=factor)),
        (MALA(0.1), MALA(0.1 / factor, temperature=factor)),
        (HMC(0.1, leapfrog_steps=3), HMC(0.1, leapfrog_steps=3, temperature=factor)),
    ]
    for one, other in pairs:
        a = one.move(BANANA, x, 3, generator(seed))
        b = other.move(factor * BANANA, x, 3, generator(seed))
        assert torch.allclose(a, b, rtol=1e-8, atol=1e-8)


@given(seed=seeds)
def test_with_the_noise_supplied_chains_ignore_their_neighbors(seed):
    x, noise = normal(5, 2, seed=seed), normal(5, 2, seed=seed + 1)
    ula, mala, hmc = Langevin(0.1), MALA(0.1), HMC(0.1, leapfrog_steps=3)
    state = mala.init(BANANA, x)
    alone = [mala.init(BANANA, x[i : i + 1]) for i in range(5)]
    rows = list(noise.split(1))

    def same(together, apart):
        return torch.allclose(together, torch.cat(apart), rtol=1e-12, atol=1e-12)

    assert same(
        ula.propose(state.x, state.score, noise),
        [ula.propose(s.x, s.score, n) for s, n in zip(alone, rows, strict=True)],
    )
    moved = [mala.propose(s, n) for s, n in zip(alone, rows, strict=True)]
    assert same(mala.propose(state, noise), moved)
    there = mala.init(BANANA, mala.propose(state, noise))
    chances = [mala.log_accept(s, mala.init(BANANA, m)) for s, m in zip(alone, moved, strict=True)]
    assert same(mala.log_accept(state, there), chances)
    rides = [hmc.leapfrog(BANANA, s, n)[0].x for s, n in zip(alone, rows, strict=True)]
    assert same(hmc.leapfrog(BANANA, state, noise)[0].x, rides)


@pytest.mark.parametrize("sampler", [MALA(0.3), HMC(0.3, leapfrog_steps=5)], ids=str)
def test_proposals_without_a_finite_energy_are_rejected(sampler):
    def gamma(x):  # exp(-x) x: NaN left of zero
        return (x - x.log()).sum(-1)

    record = chain(sampler, gamma, torch.ones(2_000, 1), 60, proposals=True, generator=generator())
    outside = record.proposals.squeeze(-1) <= 0
    assert bool(outside.any())
    assert not bool((record.acceptance.bool() & outside).any())
    assert bool((record.positions > 0).all())
    assert bool(record.energies.isfinite().all())
    assert z_score(record.x.squeeze(), 2.0) < 5


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_infinite_energy_is_entered_and_any_finite_one_is(value):
    def walled(x):
        return torch.where(x[:, 0] > 0, x.square().sum(-1), value)

    inside, outside = torch.tensor([[1e-3, 0.0]]), torch.tensor([[-1e-3, 0.0]])
    sampler = MALA(0.1)
    there = sampler.init(walled, outside)
    assert float(sampler.log_accept(sampler.init(walled, inside), there)) == -math.inf
    if value == math.inf:  # a start outside the support finds its way in
        assert float(sampler.log_accept(there, sampler.init(walled, inside))) == 0


# --- Manners ----------------------------------------------------------------------------


class Recorder(ebm.Energy):
    """A network with every kind of state that a sampler could disturb."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.SiLU(), nn.Linear(4, 1)
        )
        self.layers[0].bias.requires_grad_(False)
        self.layers[1].eval()
        self.calls, self.fail = 0, False

    def forward(self, x):
        self.calls += 1
        assert not self.layers.training
        assert not any(parameter.requires_grad for parameter in self.parameters())
        if self.fail and self.calls > 2:
            raise RuntimeError("broken")
        return self.layers(x).squeeze(-1)

    def flags(self):
        modes = [module.training for module in self.modules()]
        return modes, [parameter.requires_grad for parameter in self.parameters()]


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("sampler", ALL, ids=str)
def test_the_energy_is_left_as_it_was_found(sampler, fail):
    network = Recorder()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    flags = network.flags()
    x = torch.ones(3, 2, requires_grad=True)
    for energy in (network, network.forward, lambda x: network(x), functools.partial(network)):
        network.calls, network.fail = 0, fail
        for run in (
            lambda: sampler.move(energy, x, 3),  # noqa: B023
            lambda: chain(sampler, energy, x, 3).x,  # noqa: B023
            lambda: sampler.transition(energy, sampler.init(energy, x)).x,  # noqa: B023
        ):
            if fail:
                with pytest.raises(RuntimeError, match="broken"):
                    [run() for _ in range(3)]
            else:
                moved = run()
                assert not moved.requires_grad
                assert moved.is_leaf
            assert network.flags() == flags
            assert torch.is_grad_enabled()
    assert x.grad is None
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


def test_a_strangers_transition_is_run_with_the_energy_held():
    class Plain(Sampler):
        def transition(self, energy, state, generator=None):
            x = state.x + 0.1 * state.score
            return State(x, energy(x).detach(), ebm.score(energy, x))

    network = Recorder()
    flags = network.flags()
    assert Plain().move(network, torch.ones(3, 2), 2).shape == (3, 2)
    assert chain(Plain(), network, torch.ones(3, 2), 2).positions.shape == (2, 3, 2)
    assert network.flags() == flags


@pytest.mark.parametrize("sampler", ALL, ids=str)
def test_chains_are_repeatable_and_leave_x_alone(sampler):
    x = normal(4, 2)
    copy = x.clone()
    one = sampler.move(BANANA, x, 5, generator(9))
    assert torch.equal(one, sampler.move(BANANA, x, 5, generator(9)))
    assert torch.equal(x, copy)
    assert one.data_ptr() != x.data_ptr()
    if getattr(sampler, "temperature", 1):
        assert not torch.equal(one, sampler.move(BANANA, x, 5, generator(10)))
    torch.manual_seed(9)
    assert torch.equal(one, sampler.move(BANANA, x, 5))  # torch's own generator by default
    assert torch.equal(
        sampler.step(BANANA, x, generator(9)), sampler.move(BANANA, x, 1, generator(9))
    )


@pytest.mark.parametrize("sampler", ALL, ids=str)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_samplers_work_where_gradients_are_off(sampler, mode):
    network, x = energies.MLP(2, hidden=(8,)), torch.ones(3, 2)
    expected = sampler.move(network, x, 3, generator(1))
    with mode():
        inside = sampler.move(network, torch.ones(3, 2), 3, generator(1))
        record = chain(sampler, network, torch.ones(3, 2), 3, generator=generator(1))
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert not torch.is_grad_enabled()
    assert torch.equal(inside, expected)
    assert torch.equal(record.x, expected)


@pytest.mark.parametrize("sampler", ALL, ids=str)
@pytest.mark.parametrize("shape", [(4, 2), (3, 1, 4, 5), (6,), (0, 2), (1, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_shape_and_precision_is_kept(sampler, shape, dtype):
    def energy(x):
        return x[:, None].flatten(1).square().sum(-1)

    x = torch.ones(shape, dtype=dtype)
    state = sampler.transition(energy, sampler.init(energy, x))
    assert state.x.shape == state.score.shape == x.shape
    assert state.energy.shape == x.shape[:1]
    assert state.x.dtype == state.score.dtype == state.energy.dtype == dtype
    assert sampler.move(energy, x, 2).shape == x.shape


def test_gradients_are_not_wasted():
    calls = []

    def energy(x):
        calls.append(len(x))
        return x.square().sum(-1)

    def counted(run):
        calls.clear()
        run()
        return len(calls)

    x = torch.ones(3, 2)
    assert counted(lambda: Langevin(0.1).move(energy, x, 7)) == 7
    assert counted(lambda: MALA(0.1).move(energy, x, 7)) == 8
    assert counted(lambda: HMC(0.1, leapfrog_steps=4).move(energy, x, 7)) == 29
    assert counted(lambda: chain(Langevin(0.1), energy, x, 7, warmup=2)) == 10


def test_samplers_say_what_they_are():
    assert repr(Langevin(0.01)) == "Langevin(0.01, temperature=1)"
    assert repr(Langevin(10, temperature=1.25e-6)) == "Langevin(10, temperature=1.25e-06)"
    assert repr(MALA(0.1, temperature=2.0)) == "MALA(0.1, temperature=2)"
    assert repr(HMC(0.1)) == "HMC(0.1, leapfrog_steps=10, temperature=1)"
    assert Langevin(10, temperature=1.25e-6).noise_scale == pytest.approx(0.005)
    assert Langevin(0.1) == Langevin(0.1)
    assert len({MALA(0.1), MALA(0.1), MALA(0.2)}) == 2


# --- Refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Langevin, MALA, HMC])
def test_numbers_out_of_range_are_refused(kind):
    for bad in (0, -0.1, math.inf, math.nan, True):
        with pytest.raises(ValueError, match=r"step_size must be a positive number, got .*\. Pass"):
            kind(bad)
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match=r"temperature must be .*positive number, got"):
            kind(0.1, temperature=bad)
    with pytest.raises(ValueError, match=r"Pass a number above 0, such as step_size=0\.01\."):
        kind(-1.0)
    with pytest.raises(TypeError, match="positional"):
        kind(0.1, 2.0)


def test_a_tensor_is_no_number():
    with pytest.raises(ValueError, match=r"Call \.item\(\) on the tensor\."):
        inspect.unwrap(checks.positive)("step_size", torch.tensor(0.1))  # types are not checked


@pytest.mark.parametrize("kind", [MALA, HMC])
def test_what_is_accepted_by_probability_needs_a_temperature(kind):
    with pytest.raises(ValueError, match=r"temperature must be a positive number, got .*=0"):
        kind(0.1, temperature=0)


def test_counts_out_of_range_are_refused():
    with pytest.raises(ValueError, match="leapfrog_steps must be a whole number of at least 1"):
        HMC(0.1, leapfrog_steps=0)
    for sampler in ALL:
        for bad in (0, -1, True):
            with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
                sampler.move(BANANA, torch.ones(2, 2), bad)


class Batchwise(ebm.Energy):
    reach = ebm.Reach.NEGATIVES

    def forward(self, x):
        return x.sum(-1) - x.mean()


@pytest.mark.parametrize("sampler", ALL, ids=str)
def test_unfit_energies_and_points_are_refused_with_the_cure(sampler):
    x = torch.ones(4, 2)
    for run in (sampler.init, sampler.step, functools.partial(chain, sampler, steps=2)):
        with pytest.raises(ValueError, match=r"\(4,\), got \(4, 1\).*squeeze\(-1\)"):
            run(lambda x: x.sum(-1, keepdim=True), x=x)
        with pytest.raises(ValueError, match=r"got \(\).*Remove \.mean\(\) or \.sum\(\)"):
            run(lambda x: x.square().mean(), x=x)
        with pytest.raises(ValueError, match="reach NEGATIVES of Batchwise"):
            run(Batchwise(), x=x)
        with pytest.raises(TypeError, match=r"x must be floating point, got torch.int64.*\.float"):
            run(BANANA, x=x.long())
        with pytest.raises(ValueError, match=r"x must have a batch axis, got shape \(\)"):
            run(BANANA, x=torch.tensor(1.0))
        with pytest.raises(TypeError, match="energy must be an instance, got the class Banana"):
            run(energies.Banana, x=x)


def test_a_sampler_without_a_transition_says_so():
    class Idle(Sampler):
        pass

    with pytest.raises(NotImplementedError, match="Idle must define transition"):
        Idle().step(BANANA, torch.ones(1, 2))


# --- Recorded chains --------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ALL, ids=str)
def test_a_chain_records_every_thin_transition_after_the_warmup(sampler):
    x = normal(3, 2)
    record = chain(sampler, BANANA, x, 11, thin=4, warmup=5, proposals=True, generator=generator(3))
    noise, state, states = generator(3), sampler.init(BANANA, x), []
    for _ in range(16):
        state = sampler.transition(BANANA, state, noise)
        states.append(state)
    kept = [states[8], states[12]]
    assert torch.equal(record.positions, torch.stack([s.x for s in kept]))
    assert torch.equal(record.energies, torch.stack([s.energy for s in kept]))
    assert torch.equal(record.samples, torch.cat([s.x for s in kept]))
    assert torch.equal(record.x, states[-1].x)
    assert torch.equal(record.final.score, states[-1].score)
    if state.accepted is None:
        assert record.acceptance is None
        assert record.proposals is None
    else:
        rates = [torch.stack([s.accepted for s in states[i : i + 4]]) for i in (5, 9)]
        expected = torch.stack([rate.double().mean(0) for rate in rates])
        assert torch.allclose(record.acceptance, expected)
        assert torch.equal(record.proposals, torch.stack([s.proposal for s in kept]))


def test_a_chain_goes_on_where_another_ended():
    noise, x = generator(1), normal(3, 2)
    first = chain(MALA(0.1), BANANA, x, 5, generator=noise)
    second = chain(MALA(0.1), BANANA, first.x, 5, generator=noise)
    whole = chain(MALA(0.1), BANANA, x, 10, generator=generator(1))
    assert torch.allclose(torch.cat([first.positions, second.positions]), whole.positions)


def test_a_chain_of_images():
    energy = energies.Convolutional(1, 8, widths=(4, 4))
    record = chain(HMC(0.1, leapfrog_steps=2), energy, torch.zeros(3, 1, 8, 8), 4, thin=2)
    assert record.positions.shape == (2, 3, 1, 8, 8)
    assert record.samples.shape == (6, 1, 8, 8)
    assert record.energies.shape == record.acceptance.shape == (2, 3)


def test_a_chain_shows_a_bar_only_when_asked_or_long(capsys):
    chain(MALA(0.1), BANANA, torch.zeros(1, 2), 5)
    chain(MALA(0.1), BANANA, torch.zeros(1, 2), 5, progress=False)
    assert capsys.readouterr().err == ""
    chain(MALA(0.1), BANANA, torch.zeros(1, 2), 5, progress=True)
    assert "MALA" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"steps": 5, "thin": 0}, "thin must be a whole number of at least 1"),
        ({"steps": 5, "warmup": -1}, "warmup must be a whole number of at least 0"),
        ({"steps": 5, "thin": 6}, "thin must be at most steps, got thin=6 and steps=5"),
    ],
)
def test_a_chain_refuses_numbers_out_of_range(numbers, message):
    with pytest.raises(ValueError, match=message):
        chain(MALA(0.1), BANANA, torch.zeros(1, 2), **numbers)


def test_states_are_frozen():
    state = State(torch.zeros(1, 2), torch.zeros(1), torch.zeros(1, 2))
    with pytest.raises(AttributeError):
        state.x = torch.ones(1, 2)
