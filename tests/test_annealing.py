"""Samplers with momentum, ladders and swaps; annealed importance sampling; diagnostics."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent

import ebm
from ebm import evaluation
from ebm.energies.states import binary_states
from ebm.samplers import (
    HMC,
    MALA,
    AnnealedLangevin,
    Gibbs,
    Langevin,
    ParallelTempering,
    UnderdampedLangevin,
)
from ebm.samplers.parallel_tempering import log_swap
from ebm.samplers.underdamped_langevin import reversed_momentum

EPS = torch.finfo(torch.float64).eps


def normal(count, dim=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator, dtype=torch.float64)


# Underdamped Langevin.


def test_underdamped_dynamics_without_friction_runs_backward():
    energy = ebm.energies.DoubleWell().double()
    sampler = UnderdampedLangevin(0.05, friction=1e-20)
    start = sampler.init(energy, normal(4, 2))
    state = start
    for _ in range(20):
        state = sampler.transition(energy, state)
    assert (state.x - start.x).abs().max() > 0.1
    state = reversed_momentum(state)
    for _ in range(20):
        state = sampler.transition(energy, state)
    torch.testing.assert_close(state.x, start.x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_underdamped_dynamics_is_exact_on_a_gaussian_at_large_steps(temperature):
    variance, count = 0.25, 40_000
    energy = lambda x: x.square().sum(-1) / (2 * variance)  # noqa: E731
    sampler = UnderdampedLangevin(0.6, friction=2.0, temperature=temperature)
    generator = torch.Generator().manual_seed(1)
    x = sampler.move(energy, normal(count), 40, generator)
    expected = variance * temperature
    assert abs(x.var().item() / expected - 1) < 5 * (2 / count) ** 0.5
    assert abs(x.mean().item()) < 5 * (expected / count) ** 0.5


def test_strong_friction_forgets_the_momentum():
    """x' - x = h/2 (p + h/2 score) + h/2 p', p and p' both new draws."""
    energy, x = (lambda x: x.pow(4).sum(-1)), normal(50_000)
    h = 0.2
    sampler = UnderdampedLangevin(h, friction=1e6)
    state = sampler.init(energy, x)
    moved = sampler.transition(energy, state, torch.Generator().manual_seed(1)).x
    drift = state.x + h**2 / 4 * state.score
    residual = moved - drift
    assert residual.var().item() == pytest.approx(h**2 / 2, rel=0.05)


# Annealed Langevin.


def test_the_last_level_of_the_ladder_is_plain_langevin():
    energy = lambda x, sigma: x.square().sum(-1) / (2 * (1 + sigma**2))  # noqa: E731
    x = normal(8, 2)
    ladder = AnnealedLangevin([0.5], 0.01, steps=3)
    plain = Langevin(0.01).move(lambda x: energy(x, 0.5), x, 3, torch.Generator().manual_seed(2))
    torch.testing.assert_close(ladder.step(energy, x, torch.Generator().manual_seed(2)), plain)


def test_the_ladder_scales_its_steps_and_ends_at_the_last_level():
    seen = []

    def energy(x, sigma):
        seen.append(sigma[0].item())
        return x.square().sum(-1) / (2 * sigma**2)

    x = torch.full((20_000, 1), 30.0, dtype=torch.float64)
    sampler = AnnealedLangevin([3.0, 1.0, 0.1], 0.002, steps=30)
    x = sampler.step(energy, x, torch.Generator().manual_seed(0))
    assert list(dict.fromkeys(seen[1:])) == [3.0, 1.0, 0.1]
    variance = 0.01 / (1 - 0.002 / 0.02)  # the bias of the last level
    assert x.var().item() == pytest.approx(variance, rel=0.05)
    with pytest.raises(ValueError, match="sigmas must go from large to small"):
        AnnealedLangevin([0.1, 1.0], 0.01)


# Parallel tempering.


def test_swaps_are_in_detailed_balance():
    a, b = normal(50).squeeze(), normal(50, seed=1).squeeze() * 5
    cold, hot = 1.0, 3.0
    there = -a / cold - b / hot + log_swap(a, b, cold, hot)
    back = -b / cold - a / hot + log_swap(b, a, cold, hot)
    torch.testing.assert_close(there, back, rtol=0, atol=32 * EPS * 20)
    assert log_swap(torch.tensor(5.0), torch.tensor(0.0), 1.0, 2.0) == 0  # cold gets the low


def test_a_swap_exchanges_whole_states_and_loses_none():
    frozen = [Langevin(1e-12, temperature=t) for t in (1.0, 2.0, 4.0)]
    sampler = ParallelTempering(frozen)
    energy = lambda x: x.square().sum(-1) / 2  # noqa: E731
    state = sampler.init(energy, normal(6, 2))
    replicas = [s.init(energy, normal(6, 2, seed=k) * (k + 1)) for k, s in enumerate(frozen)]
    state = sampler._state(tuple(replicas), None, 0)
    before = torch.stack([r.x for r in state.replicas])
    swaps = 0
    for _ in range(6):
        state = sampler.transition(energy, state)
        swaps += int(state.swapped.sum())
    after = torch.stack([r.x for r in state.replicas])
    assert swaps > 0
    torch.testing.assert_close(before.sort(0).values, after.sort(0).values, rtol=0, atol=1e-4)
    for replica in state.replicas:
        torch.testing.assert_close(replica.energy, energy(replica.x))
        torch.testing.assert_close(replica.score, -replica.x)
    torch.testing.assert_close(state.x, state.replicas[0].x)


def test_tempering_finds_the_weights_of_modes_that_a_cold_chain_never_leaves():
    """Two wells of mass 0.2 and 0.8, sixteen standard deviations apart."""
    mixture = ebm.energies.GaussianMixture([[-2.0], [2.0]], 0.0625, [0.2, 0.8]).double()
    x = torch.full((400, 1), -2.0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    cold = MALA(0.05).move(mixture, x, 60, generator)
    assert (cold < 0).all()
    ladder = [MALA(0.05 * t, temperature=t) for t in (1.0, 3.0, 9.0, 27.0)]
    sampler = ParallelTempering(ladder)
    x = sampler.move(mixture, x, 250, generator)
    share = (x > 0).double().mean().item()
    assert abs(share - 0.8) < 5 * (0.16 / 400) ** 0.5


def test_tempering_needs_rising_temperatures():
    for ladder in ([MALA(0.1)], [MALA(0.1), MALA(0.1)], [MALA(0.1, temperature=2), MALA(0.1)]):
        with pytest.raises(ValueError, match="samplers must be at least two with rising"):
            ParallelTempering(ladder)


# Annealed importance sampling.


def gaussian(variance, dim=1):
    return ebm.energies.Gaussian(torch.zeros(dim, dtype=torch.float64), variance)


def test_one_rung_is_importance_sampling_and_an_equal_base_is_exact():
    base, energy = gaussian(1.0), (lambda x: x.square().sum(-1) / 2 + 3.0)
    like = torch.zeros(1, dtype=torch.float64)
    exact = math.log(2 * math.pi) / 2 - 3.0
    for rungs in (1, 5):
        estimate = evaluation.ais(energy, base, MALA(0.1), samples=20, rungs=rungs, like=like)
        assert estimate.log_normalizer == pytest.approx(exact, rel=1e-12)
        assert estimate.error == pytest.approx(0, abs=1e-12)
        assert estimate.effective == pytest.approx(20)
    torch.manual_seed(3)
    estimate = evaluation.ais(gaussian(0.25), base, MALA(0.1), samples=50, rungs=1, like=like)
    torch.manual_seed(3)
    x = base.sample(50)
    weights = -gaussian(0.25)(x) - base.log_prob(x)
    torch.testing.assert_close(estimate.log_weights, weights)


def test_the_two_directions_bracket_log_z():
    base, target = gaussian(1.0, 2), gaussian(0.25, 2)
    exact = target.log_normalizer
    torch.manual_seed(0)
    like = torch.zeros(1, dtype=torch.float64)
    kernel = MALA(0.2)
    up, down = [], []
    for _ in range(40):
        up.append(
            evaluation.ais(target, base, kernel, samples=10, rungs=6, like=like).log_normalizer
        )
        x = target.sample(10)
        down.append(evaluation.reverse_ais(target, base, kernel, x, rungs=6).log_normalizer)
    up, down = torch.tensor(up), torch.tensor(down)
    assert up.mean() < exact < down.mean()
    assert abs(torch.cat([up, down]).mean() - exact) < 0.2


def test_ais_agrees_with_the_exact_normalizer_of_a_restricted_machine():
    torch.manual_seed(1)
    energy = ebm.energies.RestrictedBoltzmannMachine(6, 3)
    for parameter in energy.parameters():
        nn.init.normal_(parameter)
    base = Independent(Bernoulli(torch.full((6,), 0.5)), 1)
    torch.manual_seed(0)
    estimate = evaluation.ais(energy, base, Gibbs(), samples=400, rungs=20)
    assert abs(estimate.log_normalizer - energy.log_normalizer()) < 4 * estimate.error
    assert 0 < estimate.error < 0.1
    x = evaluation.by_enumeration(energy, binary_states(6)).sample(400)
    above = evaluation.reverse_ais(energy, base, Gibbs(), x, rungs=20)
    assert abs(above.log_normalizer - energy.log_normalizer()) < 4 * above.error


def test_more_rungs_make_the_weights_even():
    torch.manual_seed(0)
    like = torch.zeros(1, dtype=torch.float64)
    kernel = HMC(0.3, leapfrog_steps=5)
    few, many = (
        evaluation.ais(gaussian(0.25), gaussian(1.0), kernel, samples=300, rungs=k, like=like)
        for k in (2, 40)
    )
    assert many.log_weights.std() < 0.5 * few.log_weights.std()
    assert many.effective > few.effective


def test_bad_ladders_are_refused():
    with pytest.raises(ValueError, match="rungs must rise from 0 to 1"):
        evaluation.ais(gaussian(1.0), gaussian(1.0), MALA(0.1), rungs=[0.0, 0.5])


# Diagnostics.


def test_r_hat_is_one_for_mixed_chains_and_large_for_separate_ones():
    chains = normal(1000, 4)
    assert evaluation.split_r_hat(chains) == pytest.approx(1, abs=0.01)
    assert evaluation.split_r_hat(chains + torch.tensor([0.0, 0.0, 3.0, 3.0])) > 1.5
    drifting = chains + torch.linspace(0, 5, 1000)[:, None]
    assert evaluation.split_r_hat(drifting) > 1.4  # each chain alone, seen by its halves


def test_r_hat_has_its_closed_value():
    """Halves (0, 2) and (2, 0), (4, 6) and (6, 4): within 2, means 1, 1, 5, 5."""
    chains = torch.tensor([[0.0, 4.0], [2.0, 6.0], [2.0, 6.0], [0.0, 4.0]])
    between = 2 * torch.tensor([1.0, 1.0, 5.0, 5.0]).var().item()
    expected = ((0.5 * 2 + between / 2) / 2) ** 0.5
    assert evaluation.split_r_hat(chains) == pytest.approx(expected)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_effective_sample_size_of_an_autoregression_is_known(rho):
    steps, count = 4000, 4
    noise, x = normal(steps, count) * (1 - rho**2) ** 0.5, normal(count, seed=1).squeeze()
    rows = []
    for row in noise:
        x = rho * x + row
        rows.append(x)
    expected = steps * count * (1 - rho) / (1 + rho)
    assert evaluation.effective_sample_size(torch.stack(rows)) == pytest.approx(expected, rel=0.15)


def test_chains_that_never_move_have_mixed_only_in_one_place():
    still = torch.ones(10, 3)
    assert evaluation.split_r_hat(still) == 1
    assert evaluation.effective_sample_size(still) == 30
    assert evaluation.split_r_hat(still * torch.tensor([1.0, 2.0, 3.0])) == math.inf


def test_diagnostics_refuse_what_is_no_record():
    with pytest.raises(ValueError, match=r"chains must have shape \(steps, chains\)"):
        evaluation.split_r_hat(torch.randn(10))
    with pytest.raises(ValueError, match="chains must be finite"):
        evaluation.effective_sample_size(torch.full((10, 2), math.nan))


def test_auroc_counts_the_pairs_in_the_right_order():
    energy = lambda x: x.squeeze(-1)  # noqa: E731
    familiar = torch.tensor([[0.0], [1.0], [2.0]])
    foreign = torch.tensor([[1.0], [3.0]])
    assert evaluation.auroc(energy, familiar, foreign) == pytest.approx((1.5 + 3) / 6)
    assert evaluation.auroc(energy, foreign, familiar) == pytest.approx(1 - 4.5 / 6)
    assert evaluation.auroc(energy, familiar, familiar) == pytest.approx(0.5)
