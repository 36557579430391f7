"""Latent energies: free energies, rules of inference and their laws."""

import math
import os
import sys
import time
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ebm
from ebm import latent
from ebm.latent import cluster_loops, clusters, coordinate_loops
from ebm.latent.crew import Crew

EPS = torch.finfo(torch.float64).eps


class Ellipse(latent.LatentEnergy):
    """|x - (w1 cos z, w2 sin z)|^2."""

    def __init__(self, rule=None):
        super().__init__(rule or latent.Grid(0.0, 2 * math.pi, 48))
        self.w = torch.nn.Parameter(torch.tensor([2.0, 1.5], dtype=torch.float64))

    def forward(self, x, z):
        circle = torch.stack([z.cos(), z.sin()], -1)
        return (x - self.w * circle).square().sum(-1)

    def start(self, x):
        return torch.atan2(x[:, 1], x[:, 0])


def _closed_form(temperature):
    from scipy.special import i0e

    a = 1.75 / (2 * temperature)
    return 3.125 - temperature * (math.log(i0e(a)) + a)


class TestEllipse:
    center = torch.zeros(1, 2, dtype=torch.float64)

    @pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
    def test_center_equals_the_bessel_function(self, temperature):
        value = Ellipse().free_energy(self.center, temperature)
        assert value.item() == pytest.approx(_closed_form(temperature), abs=1e-10)

    def test_a_colder_center_wants_a_finer_grid(self):
        coarse, fine = (Ellipse(latent.Grid(0.0, 2 * math.pi, n)) for n in (48, 480))
        known = _closed_form(0.01)
        assert abs(coarse.free_energy(self.center, 0.01).item() - known) == pytest.approx(
            7e-4, rel=0.1
        )
        assert fine.free_energy(self.center, 0.01).item() == pytest.approx(known, abs=1e-10)

    def test_center_cold_hot_and_fine(self):
        energy = Ellipse()
        assert energy.free_energy(self.center, 0.0).item() == pytest.approx(2.25, abs=1e-10)
        assert energy.free_energy(self.center, math.inf).item() == pytest.approx(3.125, abs=1e-10)
        fine = Ellipse(latent.Grid(0.0, 2 * math.pi, 480))
        value = fine.free_energy(self.center, 0.01).item()
        assert value == pytest.approx(_closed_form(0.01), abs=1e-10)
        table = {10: 3.105869, 1: 2.942043, 0.1: 2.448824}
        for temperature, published in table.items():
            value = energy.free_energy(self.center, temperature).item()
            assert value == pytest.approx(published, abs=5e-7)

    @pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0, math.inf])
    def test_gradients_are_those_of_the_envelope(self, temperature):
        energy = Ellipse()
        x = torch.tensor([[2.5, 0.3], [-0.4, 1.1]], dtype=torch.float64, requires_grad=True)
        (own,) = torch.autograd.grad(energy.free_energy(x, temperature).sum(), x)
        values = energy.inference.energies(energy, x)
        if temperature == 0:
            weights = torch.nn.functional.one_hot(values.argmin(1), 48).to(values)
        else:
            weights = torch.softmax(-values.detach() / temperature, 1)
        (expected,) = torch.autograd.grad((weights * values).sum(), x)
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-13)
        parameters = torch.autograd.grad(energy.free_energy(x, temperature).sum(), energy.w)
        assert parameters[0].abs().min() > 0

    def test_the_free_energy_is_an_energy(self):
        free = Ellipse().free(0.5) + 0.1 * ebm.energies.Quadratic()
        x = torch.randn(5, 2, dtype=torch.float64)
        assert free(x).shape == (5,)
        assert ebm.score(free, x).shape == x.shape
        moved = ebm.samplers.Langevin(0.01).step(Ellipse().free(), x)
        assert moved.shape == x.shape
        torch.testing.assert_close(
            latent.FreeEnergy(Ellipse(), latent.Grid(0.0, 6.283185307179586, 48), 0.5)(x),
            Ellipse().free_energy(x, 0.5),
        )

    @pytest.mark.parametrize("update", [latent.LBFGS(), latent.Adam(0.05)])
    def test_descent_finds_what_a_fine_grid_finds(self, update):
        x = torch.tensor([[3.0, 0.4], [0.3, 2.0], [-2.0, -1.0]], dtype=torch.float64)
        fine = Ellipse(latent.Grid(0.0, 2 * math.pi, 20_000))
        energy = Ellipse(latent.Descent(update, steps=1_000, tolerance=1e-6))
        found = energy.inference.solve(energy, x)
        assert bool(found.converged.all())
        torch.testing.assert_close(found.energy, fine.free_energy(x).detach(), rtol=0, atol=1e-6)
        assert energy.w.grad is None
        assert energy.w.requires_grad

    def test_sampled_latents_come_near_the_integral(self):
        energy = Ellipse(latent.Draws(0.0, 2 * math.pi, 20_000))
        value = energy.free_energy(self.center, 1.0).item()
        assert value == pytest.approx(_closed_form(1.0), abs=0.03)


@st.composite
def _tables(draw):
    n = draw(st.integers(1, 8))
    numbers = st.floats(-10, 10, width=32)
    return torch.tensor(draw(st.lists(numbers, min_size=n, max_size=n)), dtype=torch.float64)


@given(_tables(), st.floats(0.01, 1000), st.floats(-10, 10))
def test_laws_of_the_soft_minimum(energies, temperature, shift):
    n = len(energies)
    slack = 32 * EPS * (energies.abs().max() + abs(shift) + temperature * math.log(n) + 1)
    value = latent.soft_minimum(energies, temperature)
    assert energies.min() - slack <= value <= energies.mean() + slack
    assert value - energies.min() <= temperature * math.log(n) + slack
    assert latent.soft_minimum(energies, 2 * temperature) >= value - slack
    shifted = latent.soft_minimum(energies + shift, temperature)
    assert abs(shifted - value - shift) <= slack
    assert abs(latent.soft_minimum(energies.flip(0), temperature) - value) <= slack
    total = latent.soft_minimum(energies, temperature, normalize=False)
    expected = -temperature * torch.logsumexp(-energies / temperature, 0)
    assert abs(total - expected) <= slack
    if n == 1:
        assert value == energies[0]
    leaf = energies.clone().requires_grad_()
    (weights,) = torch.autograd.grad(latent.soft_minimum(leaf, temperature), leaf)
    expected = torch.softmax(-energies / temperature, 0)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-12)
    # Variational: E_q[E] - T H(q) lies above by T KL(q | p), here for the uniform q.
    kl = -(torch.log_softmax(-energies / temperature, 0) + math.log(n)).mean()
    bound = energies.mean() - temperature * math.log(n)
    assert abs(bound - total - temperature * kl) <= slack


def test_every_temperature_keeps_its_digits_in_single_precision():
    energies = torch.tensor([[1.0, 2.0, 4.0]])
    value = latent.soft_minimum(energies, 1e6).item()
    assert value == pytest.approx(7 / 3, abs=2e-6)
    # One low energy among many: log(1 / n), which 1 + (a mean near -1) would lose.
    many = torch.full((300_000,), 5.0)
    many[7] = 0.0
    value = latent.soft_minimum(many, 0.01).item()
    assert value == pytest.approx(0.01 * math.log(300_000), rel=1e-6)


@given(_tables(), st.floats(0.05, 100), st.integers(0, 2**31))
def test_the_variational_bound_lies_above_by_the_divergence(energies, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, len(energies), generator=generator, dtype=torch.float64)
    energies = torch.stack([energies, energies.flip(0)])
    q, posterior = torch.softmax(logits, -1), torch.softmax(-energies / temperature, -1)
    free = latent.soft_minimum(energies, temperature, normalize=False)
    bound = latent.variational_bound(energies, q, temperature)
    slack = 64 * EPS * (energies.abs().amax() + 40 * temperature)
    assert (bound >= free - slack).all()
    kl = torch.special.xlogy(q, q).sum(-1) - (
        q * torch.log_softmax(-energies / temperature, -1)
    ).sum(-1)
    assert ((bound - free - temperature * kl).abs() <= slack).all()
    tight = latent.variational_bound(energies, posterior, temperature)
    assert ((tight - free).abs() <= slack).all()
    # All shares on one latent: its energy, whatever the temperature.
    one = torch.zeros_like(q)
    one[:, 0] = 1
    assert (latent.variational_bound(energies, one, temperature) == energies[:, 0]).all()


def test_the_variational_bound_refuses_what_is_no_distribution():
    energies = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="q must have the shape of energies"):
        latent.variational_bound(energies, torch.ones(3) / 3)
    with pytest.raises(ValueError, match="q must be a distribution"):
        latent.variational_bound(energies, torch.ones(2, 3))


@given(st.integers(0, 2**31))
def test_the_free_energy_of_a_grid_lies_between_and_never_falls(seed):
    energy = Ellipse()
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(4, 2, generator=generator, dtype=torch.float64)
    values = energy.inference.energies(energy, x).detach()
    slack = 64 * EPS * values.abs().max()
    before = energy.free_energy(x, 0.0).detach()
    torch.testing.assert_close(before, values.amin(1))
    for temperature in (1e-3, 0.03, 0.3, 1.0, 10.0, 1e4, math.inf):
        after = energy.free_energy(x, temperature).detach()
        assert (after >= before - slack).all()
        before = after
    torch.testing.assert_close(before, values.mean(1))


def test_rules_over_points_of_any_shape():
    x = torch.randn(3, 2)
    corners = latent.LatentEnergy(
        latent.Grid((0.0, 0.0), (1.0, 2.0), 4), lambda x, z: (x - z).square().sum(-1)
    )
    assert corners.infer(x).shape == (3, 2)
    points = corners.inference.points(x)
    assert points.shape == (16, 2)
    torch.testing.assert_close(corners.free_energy(x), torch.cdist(x, points).square().amin(1))
    wells = latent.LatentEnergy(
        latent.Enumeration(torch.eye(2)), lambda x, z: (x - z).square().sum(-1)
    )
    assert wells.infer(torch.tensor([[0.9, 0.2]])).tolist() == [[1.0, 0.0]]
    # A given start competes.
    assert wells.infer(torch.tensor([[0.9, 0.2]]), torch.tensor([[0.9, 0.2]])).tolist() == [
        pytest.approx([0.9, 0.2])
    ]


def test_many_pairs_are_tried_in_chunks(monkeypatch):
    from ebm.latent import finite

    x = torch.randn(7, 2, dtype=torch.float64)
    whole = Ellipse().free_energy(x, 0.3)
    monkeypatch.setattr(finite, "PAIRS", 100)
    torch.testing.assert_close(Ellipse().free_energy(x, 0.3), whole)


def test_closed_form_and_amortized():
    def energy(x, z):
        return (x - z).square().sum(-1) + z.square().sum(-1)

    x = torch.randn(4, 3)
    exact = latent.LatentEnergy(latent.ClosedForm(lambda x: x / 2), energy)
    torch.testing.assert_close(exact.free_energy(x), x.square().sum(-1) / 2)
    encoder = torch.nn.Linear(3, 3)
    bound = latent.LatentEnergy(latent.Amortized(encoder), energy)
    assert (bound.free_energy(x) >= exact.free_energy(x)).all()
    bound.free_energy(x).sum().backward()
    assert encoder.weight.grad is not None
    assert not bound.inference.solve(energy, x).converged.any()


def test_langevin_has_the_posterior_of_z():
    # E = (x - z)^2 / 2 + z^2 / 2: the posterior of z is N(x / 2, T / 2).
    def energy(x, z):
        return (x - z).square().sum(-1) / 2 + z.square().sum(-1) / 2

    x = torch.full((4000, 1), 2.0)
    rule = latent.Langevin(0.05, temperature=0.5, steps=150)
    z = rule(energy, x, torch.zeros_like(x))
    # The step's bias: variance T v / (1 - step_size / (2 v)) with v = 1 / 2.
    variance = 0.25 / (1 - 0.05)
    assert z.mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(variance / 4000))
    assert z.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / 4000))


@pytest.mark.parametrize(
    "rule", [latent.Descent(), latent.Descent(latent.Adam(1.0), steps=3), latent.Langevin(1e-3)]
)
def test_batched_and_never_above_the_start(rule):
    def energy(x, z):
        return (z.square() - 1).square().sum(-1) + (x - z).square().sum(-1) / 10

    x, z = torch.randn(6, 2), 3 * torch.randn(6, 2)
    found = rule.solve(energy, x, z)
    assert found.z.shape == z.shape
    torch.testing.assert_close(found.energy, energy(x, found.z))
    if not isinstance(rule, latent.Langevin):
        assert (found.energy <= energy(x, z)).all()
        alone = rule.solve(energy, x[2:3], z[2:3])
        torch.testing.assert_close(alone.z, found.z[2:3], atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_batch_and_a_start_that_stays_as_it_was(count):
    atoms = torch.nn.functional.normalize(torch.randn(6, 3), dim=1)
    code = latent.SparseCode(atoms)
    x, start = torch.randn(count, 3), torch.randn(count, 6)
    before = start.clone()
    for rule in (
        latent.CoordinateDescent(), latent.ProximalDescent(), latent.Descent(),
        latent.Descent(latent.Adam()), latent.Langevin(0.01), latent.Enumeration(torch.eye(6)),
    ):  # fmt: skip
        found = rule.solve(code, x, start)
        assert found.z.shape == (count, 6)
        assert found.energy.shape == found.converged.shape == (count,)
        assert torch.equal(start, before)


def test_bad_input_gets_the_cure():
    energy = Ellipse(latent.Descent())
    x = torch.zeros(2, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="inference must be finite above temperature 0"):
        energy.free_energy(x, 1.0)
    with pytest.raises(ValueError, match="temperature must be zero or a positive number"):
        Ellipse().free_energy(x, -1.0)
    with pytest.raises(ValueError, match="temperature must be finite without normalize"):
        Ellipse().free_energy(x, math.inf, normalize=False)
    with pytest.raises(ValueError, match="z must have a start"):
        latent.Descent()(lambda x, z: x.sum(-1), x)
    with pytest.raises(ValueError, match="z must have one row for each example"):
        energy.infer(x, torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="low must lie below high"):
        latent.Grid(1.0, 0.0, 4)
    with pytest.raises(ValueError, match="latents must be a tensor"):
        latent.Enumeration(torch.tensor(1.0))
    with pytest.raises(ValueError, match="one value per example"):
        latent.LatentEnergy(latent.Grid(0.0, 1.0, 3), lambda x, z: x - z[:, None]).free_energy(x)
    with pytest.raises(TypeError, match="energy must offer smooth"):
        latent.ProximalDescent()(Ellipse(), x)
    with pytest.raises(NotImplementedError, match="must define forward"):
        latent.LatentEnergy(latent.Grid(0.0, 1.0, 3)).free_energy(x)


class TestSparseCode:
    """|x - W z|^2 / 2 + weight |z|_1 in double precision."""

    @pytest.fixture(params=[(16, 40), (24, 20)])
    def problem(self, request):
        dim, count = request.param
        generator = torch.Generator().manual_seed(3)
        atoms = torch.randn(count, dim, generator=generator, dtype=torch.float64)
        atoms /= atoms.norm(dim=1, keepdim=True)
        x = torch.randn(12, dim, generator=generator, dtype=torch.float64)
        return latent.SparseCode(atoms, sparsity_weight=0.3), x

    def _run(self, energy, x, **rule):
        return latent.ProximalDescent(**rule).solve(energy, x)

    def _best(self, energy, x):
        return self._run(energy, x, steps=20_000, tolerance=1e-15)

    def test_ista_is_monotone_with_its_bound(self, problem):
        energy, x = problem
        best = self._best(energy, x)
        curvature = energy.curvature()
        z = energy.start(x)
        size = (curvature * best.z.square().sum(1)).detach()
        before, slack = energy(x, z), 8 * EPS * x.square().sum(1)
        for k in range(1, 60):
            moved = energy.proximal_step(x)(z)
            after = energy(x, moved)
            fall = curvature / 2 * (moved - z).square().sum(1)
            assert (before - after >= fall - slack).all()
            assert (after - best.energy <= size / (2 * k) + slack).all()
            z, before = moved, after
        torch.testing.assert_close(
            self._run(energy, x, steps=59, accelerate=False, tolerance=0.0).z, z
        )

    def test_fista_keeps_its_bound(self, problem):
        energy, x = problem
        best = self._best(energy, x)
        size = energy.curvature() * best.z.square().sum(1)
        slack = 8 * EPS * x.square().sum(1)
        for k in (1, 2, 3, 5, 10, 20, 50, 100):
            z = self._run(energy, x, steps=k, restart=False, tolerance=0.0).energy
            assert (z - best.energy <= 2 * size / (k + 1) ** 2 + slack).all()

    def test_the_bound_of_fista_is_one_that_ista_breaks(self):
        # Curvatures from 1 to 1e-4 on separate entries; the minimum is at z = 1 by design.
        scale, weight = torch.logspace(0, -2, 30, dtype=torch.float64), 1e-6
        energy = latent.SparseCode(torch.diag(scale), sparsity_weight=weight)
        x = (scale + weight / scale)[None]
        least = energy(x, torch.ones_like(x))
        broken = 0
        for k in (1, 2, 5, 10, 20, 40, 80, 160, 320):
            bound = 2 * energy.curvature() * 30 / (k + 1) ** 2
            rule = {"steps": k, "restart": False, "tolerance": 0.0}
            assert self._run(energy, x, **rule).energy - least <= bound
            broken += bool(self._run(energy, x, accelerate=False, **rule).energy - least > bound)
        assert broken >= 2

    def test_fast_step_equals_the_plain_one(self, problem):
        energy, x = problem
        z = torch.randn(12, len(energy.atoms), dtype=torch.float64)
        gradient = -ebm.score(lambda z: energy.smooth(x, z), z)
        curvature = energy.curvature()
        plain = energy.proximal(z - gradient / curvature, 1 / curvature)
        torch.testing.assert_close(energy.proximal_step(x)(z), plain)

    def test_conditions_of_the_minimum_hold_at_the_gap(self, problem):
        energy, x = problem
        found = self._run(energy, x, tolerance=1e-9, steps=20_000)
        assert bool(found.converged.all())
        correlation = (x - found.z @ energy.atoms) @ energy.atoms.T
        # gap >= half the squared residual's distance to the dual optimum, so the
        # correlations miss theirs by at most sqrt(2 gap) per unit atom.
        tolerance = 2 * found.gap.sqrt()[:, None] + 1e-12
        weight = energy.sparsity_weight
        assert (correlation.abs() <= weight + tolerance).all()
        active = found.z.abs() > 1e-6
        assert ((correlation - weight * found.z.sign()).abs() <= tolerance)[active].all()

    def test_gap_bounds_the_distance_to_the_minimum(self, problem):
        energy, x = problem
        best = self._best(energy, x).energy
        for steps in (1, 5, 30):
            found = self._run(energy, x, steps=steps)
            assert (found.gap >= found.energy - best - 1e-12).all()
            torch.testing.assert_close(found.gap, energy.gap(x, found.z))

    def test_strong_sparsity_gives_zero_exactly(self, problem):
        energy, x = problem
        weight = float((x @ energy.atoms.T).detach().abs().max())
        energy = latent.SparseCode(energy.atoms, sparsity_weight=weight)
        assert not self._run(energy, x, steps=50, tolerance=0.0).z.any()

    def test_flips_and_orders_of_atoms_carry_over(self, problem):
        energy, x = problem
        order = torch.randperm(len(energy.atoms))
        signs = 1 - 2 * torch.randint(0, 2, (len(order), 1), dtype=torch.float64)
        other = latent.SparseCode((signs * energy.atoms)[order], sparsity_weight=0.3)
        z = self._run(energy, x, steps=100, tolerance=0.0).z
        flipped = self._run(other, x, steps=100, tolerance=0.0).z
        torch.testing.assert_close(flipped, (z * signs.T)[:, order])

    def test_longer_atoms_would_cheat(self, problem):
        energy, x = problem
        z = self._best(energy, x).z
        longer = latent.SparseCode(2 * energy.atoms, sparsity_weight=0.3)
        assert (longer(x, z / 2) < energy(x, z)).all()
        atoms = longer.atoms.detach().clone()
        latent.dictionary.into_unit_ball(atoms)
        assert (atoms.norm(dim=1) <= 1 + 4 * EPS).all()

    def test_equals_scikit_learn(self, problem):
        from sklearn.linear_model import Lasso

        energy, x = problem
        found = self._run(energy, x, tolerance=1e-11, steps=20_000)
        lasso = Lasso(alpha=0.3 / x.shape[1], fit_intercept=False, tol=1e-12, max_iter=100_000)
        atoms = energy.atoms.detach().numpy().T
        z = torch.stack([torch.as_tensor(lasso.fit(atoms, row.numpy()).coef_) for row in x])
        gap = energy.gap(x, z)
        assert (found.energy - energy(x, z) <= gap.clamp(min=found.gap) + 1e-12).all()
        assert (energy(x, z) - found.energy <= gap.clamp(min=found.gap) + 1e-12).all()

    @pytest.mark.parametrize("compile", [True, False])
    @pytest.mark.parametrize("tolerance", [1e-4, 1e-12])
    def test_coordinate_descent_reaches_the_same_minimum(self, problem, tolerance, compile):
        energy, x = problem
        rule = partial(latent.CoordinateDescent, compile=compile)
        found = rule(tolerance=tolerance).solve(energy, x)
        assert bool(found.converged.all())
        assert (found.gap <= tolerance * x.square().sum(1)).all()
        best = self._best(energy, x)
        assert (found.energy - best.energy <= found.gap + 1e-12).all()
        assert (best.energy - found.energy <= best.gap + 1e-12).all()
        # From any start and in any company; no round raises the energy.
        start = torch.randn(12, len(energy.atoms), dtype=torch.float64)
        before = energy(x, start)
        for rounds in (1, 2, 5):
            few = rule(rounds=rounds, first=1, again=1, tolerance=0.0)
            after = few.solve(energy, x, start).energy
            assert (after <= before + 8 * EPS * before.max()).all()
        alone = rule(tolerance=tolerance).solve(energy, x[4:5])
        torch.testing.assert_close(alone.z, found.z[4:5], atol=1e-6, rtol=1e-6)

    def test_compiled_loops_alone_close_the_gap_and_stand_on_the_right_support(self, problem):
        energy, x = problem
        start = energy.start(x)
        atoms, weight = energy.atoms.detach(), energy.sparsity_weight
        z = coordinate_loops.solve(x, atoms, weight, 1e-13, 10_000, 30, start)
        assert (energy.gap(x, z) <= 2e-13 * x.square().sum(1)).all()
        assert not start.any()
        # The conditions of Karush, Kuhn and Tucker.
        down = (x - z @ atoms) @ atoms.T
        assert (down.abs() <= weight * (1 + 1e-5)).all()
        torch.testing.assert_close(down[z != 0], weight * z[z != 0].sign(), atol=1e-5, rtol=0)

    def test_compiled_loops_start_anywhere_and_leave_zero_atoms_at_zero(self):
        atoms = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.6, 0.8]])
        energy = latent.SparseCode(atoms)
        x, start = torch.tensor([[2.0, 1.0], [0.0, 0.0]]), torch.ones(2, 3)
        z = coordinate_loops.solve(x, atoms, 0.1, 1e-6, 100, 10, start)
        assert (z[:, 1] == 0).all()
        assert (z[1] == 0).all()
        assert (energy.gap(x, z) <= 1e-5).all()

    def test_without_numba_blocks_are_swept_and_it_is_said(self, problem, monkeypatch):
        monkeypatch.setitem(sys.modules, "ebm.latent.coordinate_loops", None)
        monkeypatch.delattr("ebm.latent.coordinate_loops", raising=False)
        energy, x = problem
        with pytest.warns(UserWarning, match="compile must have numba to compile with"):
            found = latent.CoordinateDescent(compile=True).solve(energy, x)
        assert bool(found.converged.all())
        assert torch.equal(latent.CoordinateDescent()(energy, x), found.z)

    @pytest.mark.parametrize("compile", [True, False])
    def test_coordinate_descent_is_as_exact_under_autocast(self, problem, compile):
        energy, x = problem[0].float(), problem[1].float()
        rule = latent.CoordinateDescent(compile=compile)
        expected = rule.solve(energy, x)
        with torch.autocast("cpu", torch.bfloat16):
            found = rule.solve(energy, x)
        assert torch.equal(found.z, expected.z)
        assert torch.equal(found.gap, expected.gap)

    def test_coordinate_descent_wants_a_sparse_code(self, problem):
        with pytest.raises(TypeError, match="energy must offer atoms"):
            latent.CoordinateDescent()(Ellipse(), problem[1])

    def test_equal_and_zero_atoms_are_fine(self):
        atoms = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
        energy = latent.SparseCode(atoms)
        z = energy.infer(torch.tensor([[2.0, 1.0], [0.0, 0.0]]))
        assert z.isfinite().all()
        assert z[0].sum().item() == pytest.approx(1.9, abs=1e-3)

    def test_any_energy_with_the_three_parts(self, problem):
        energy, x = problem

        class Plain(latent.LatentEnergy):
            smooth, proximal, curvature = energy.smooth, energy.proximal, energy.curvature
            start = energy.start

            def forward(self, x, z):
                return energy(x, z)

        plain = Plain(latent.ProximalDescent(steps=200))
        found = plain.inference.solve(plain, x)
        assert found.gap is None
        torch.testing.assert_close(found.energy, self._best(energy, x).energy, rtol=1e-3, atol=1e-6)

    def test_rows_do_not_depend_on_one_another(self, problem, monkeypatch):
        energy, x = problem
        whole = self._run(energy, x, steps=40)
        monkeypatch.setattr(latent.proximal, "CACHE_BYTES", 5 * 8 * len(energy.atoms))
        torch.testing.assert_close(self._run(energy, x, steps=40).z, whole.z)
        few = self._run(energy, x, steps=1)
        assert (few.energy <= energy(x, energy.start(x))).all()


@given(st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=6), st.floats(0, 3))
def test_soft_threshold_is_odd_short_and_firm(values, threshold):
    u = torch.tensor(values, dtype=torch.float64)
    v = u.flip(0)
    a, b = (latent.soft_threshold(w, threshold) for w in (u, v))
    torch.testing.assert_close(latent.soft_threshold(-u, threshold), -a)
    assert (a.abs() <= u.abs()).all()
    assert (a - b).square().sum() <= ((a - b) * (u - v)).sum() + 1e-12
    torch.testing.assert_close(a, u.sign() * (u.abs() - threshold).clamp(min=0))


@given(n=st.integers(1, 40), k=st.integers(1, 140), d=st.integers(1, 5), seed=st.integers(0, 999))
def test_the_nearest_center_is_the_plain_formulas(n: int, k: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, (n, d), generator=generator).double()
    centers = torch.randint(-3, 4, (k, d), generator=generator).double()  # with equals
    distances = (x[:, None] - centers).square().sum(-1)
    found = clusters.nearest(x, centers)
    least = distances.min(1).values
    assert torch.allclose(distances.gather(1, found[:, None])[:, 0], least, atol=1e-9)


@given(n=st.integers(1, 20), blocks=st.integers(1, 5), seed=st.integers(0, 999))
def test_the_least_value_is_found_at_its_first_place(n: int, blocks: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 9, (n, blocks * clusters.BLOCK), generator=generator).float()
    first = (values == values.amin(1, keepdim=True)).float().argmax(1)
    assert torch.equal(clusters._first_least(values), first)


@given(
    n=st.integers(1, 40), k=st.integers(1, 140), d=st.integers(1, 5),
    seed=st.integers(0, 999), dtype=st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_compiled_loops_add_rows_to_the_sums_as_the_plain_form(n, k, d, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, (n, d), generator=generator).to(dtype)  # with equals
    centers = torch.randint(-3, 4, (k, d), generator=generator).to(dtype)
    values = clusters._Member(centers)._near(x)
    found = []
    for add in (cluster_loops.add, clusters.add_plain):
        sums = (torch.zeros(k, d).double(), torch.zeros(k).double(), torch.zeros(1).double())
        add(values, x, centers, *sums)
        found.append(sums)
    for compiled, plain in zip(*found, strict=True):
        assert torch.equal(compiled, plain)  # of whole numbers no sum is rounded


def test_a_pass_of_several_threads_is_that_of_one(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5000, 3, generator=generator, dtype=torch.float64)
    batches, centers = [(x[:4000],), (x[4000:4000],), (x[4000:],)], torch.cat([x[:40], x[:1] + 99])
    alone, among = clusters.lloyd(batches, centers), clusters.nearest(x, centers)
    monkeypatch.setattr(clusters, "FEW", 0)
    monkeypatch.setattr(clusters, "ROWS", 64)
    together = clusters.lloyd(batches, centers)
    torch.testing.assert_close(together, alone, rtol=1e-13, atol=1e-13)
    assert torch.equal(clusters.nearest(x, centers), among)
    again = clusters.lloyd(batches, centers)
    assert all(torch.equal(a, b) for a, b in zip(together, again, strict=True))


class TestCrew:
    def test_each_thread_computes_alone_and_the_others_are_left_as_they_were(self):
        before = torch.get_num_threads()
        crew = Crew(object, torch.device("cpu"))
        crew.threads = 3
        parts = torch.arange(8.0).split(1)
        found = crew.each(parts, lambda _, x: (float(x), torch.get_num_threads()), alone=False)
        assert torch.get_num_threads() == before
        assert found == [(float(i), 1) for i in range(8)]
        assert len(crew.members) == 3
        assert crew.each(parts, lambda member, x: member is crew.members[0], alone=True) == [1] * 8

    def test_an_error_in_a_thread_is_raised(self):
        crew = Crew(object, torch.device("cpu"))
        crew.threads = 2

        def fail(_, x):
            raise ValueError(f"part {int(x)}")

        before = torch.get_num_threads()
        with pytest.raises(ValueError, match="part 0"):
            crew.each(torch.arange(4.0).split(1), fail, alone=False)
        assert torch.get_num_threads() == before

    def test_a_forked_process_gets_threads_of_its_own(self):
        crew = Crew(object, torch.device("cpu"))
        crew.threads = 2
        parts = torch.arange(4.0).split(1)
        crew.each(parts, lambda _, x: float(x), alone=False)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = crew.each(parts, lambda _, x: float(x), alone=False) != [0.0, 1.0, 2.0, 3.0]
            finally:
                os._exit(code)
        deadline = time.monotonic() + 60
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
            time.sleep(0.01)
        assert ended[1] == 0
