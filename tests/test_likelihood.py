"""Contrastive divergence and its relatives against exact maximum likelihood."""

import functools
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import ebm
import methods
from ebm import evaluation
from ebm.contrast import contrast
from ebm.memory import Replay
from ebm.metrics import watching
from ebm.samplers import HMC, MALA, Langevin

EPS = torch.finfo(torch.float64).eps


class Tilted(ebm.Energy):
    """x^2 / 2 - tilt sin(2 x) per dimension: skewed, so that a sign error shows."""

    def __init__(self, tilt=0.5):
        super().__init__()
        self.tilt = nn.Parameter(torch.tensor(tilt, dtype=torch.float64))
        self.scale = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, x):
        return (self.scale * x.square() / 2 - self.tilt * torch.sin(2 * x)).flatten(1).sum(-1)


def gradients(method, terms):
    return torch.autograd.grad(sum(v.mean() for v in terms.values()), list(method.parameters()))


def samples(energy, dim, count, seed=0):
    """Independent samples of a product of one-dimensional densities."""
    density = evaluation.on_grid(lambda x: energy(x.double()), [(-8, 8)], resolution=20_000)
    generator = torch.Generator().manual_seed(seed)
    return density.sample(count * dim, generator).view(count, dim).double()


# Exact maximum likelihood.


def test_maximum_likelihood_is_stationary_at_the_truth_and_not_beside_it():
    support, volume = evaluation.cells([(-8, 8)], 4000)
    support = support.double()
    truth = Tilted()
    density = evaluation.density(truth, support, volume=volume)
    method = methods.MaximumLikelihood(truth, support, volume=volume)
    terms = method.terms(support)
    loss = (density.probabilities * terms["data"]).sum() + terms["log_normalizer"]
    for gradient in torch.autograd.grad(loss, list(truth.parameters())):
        assert gradient.abs() < 32 * EPS * 100
    with torch.no_grad():
        truth.tilt += 0.1
    terms = method.terms(support)
    loss = (density.probabilities * terms["data"]).sum() + terms["log_normalizer"]
    (gradient,) = torch.autograd.grad(loss, truth.tilt)
    assert gradient > 0.01


@pytest.mark.parametrize("dim", [1, 2])
def test_maximum_likelihood_recovers_a_precision(dim):
    support, volume = evaluation.cells([(-12, 12)] * dim, 60)
    log_precision = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    method = methods.MaximumLikelihood(
        lambda x: log_precision.exp() * x.square().sum(-1) / 2, support.double(), volume=volume
    )
    x = math.sqrt(2 * dim) * torch.cat([torch.eye(dim), -torch.eye(dim)]).double()  # cov 2 I
    optimizer = torch.optim.LBFGS([log_precision], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        terms = method.terms(x)
        loss = terms["data"].mean() + terms["log_normalizer"]
        loss.backward()
        return loss

    optimizer.step(closure)
    assert log_precision.exp().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("dim", [1, 2])
def test_maximum_likelihood_on_cells_is_the_negative_log_density(dim):
    support, volume = evaluation.cells([(-8, 8)] * dim, 80)
    method = methods.MaximumLikelihood(
        lambda x: x.square().sum(-1) / 2, support.double(), volume=volume
    )
    x = torch.randn(5, dim, dtype=torch.float64)
    terms = method.terms(x)
    exact = -torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(terms["data"] + terms["log_normalizer"], exact, rtol=1e-6, atol=0)


def test_maximum_likelihood_by_enumeration_is_the_negative_log_likelihood():
    states = evaluation.binary_states(3)
    energy = lambda x: (x * torch.tensor([1.0, -2.0, 0.5])).sum(-1)  # noqa: E731
    method = methods.MaximumLikelihood(energy, states)
    x = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    terms = method.terms(x)
    exact = nn.functional.softplus(-torch.tensor([1.0, -2.0, 0.5])).sum() + energy(x)
    torch.testing.assert_close(terms["data"] + terms["log_normalizer"], exact)


def test_examples_cover_points_and_binary_vectors():
    points = methods.MaximumLikelihood.example(torch.randn(50, 2))
    assert points.support.shape == (64**2, 2)
    binary = methods.MaximumLikelihood.example(torch.ones(5, 4))
    assert binary.support.shape == (16, 4)
    assert all(v.isfinite().all() for v in points.terms(torch.randn(3, 2)).values())


# Contrastive divergence.


@pytest.mark.parametrize(
    "cls", [methods.ContrastiveDivergence, methods.PersistentContrastiveDivergence]
)
def test_the_energies_of_data_and_negatives_are_opposed_and_shift_free(cls):
    energy, x = ebm.energies.MLP(2), torch.randn(16, 2)
    method = cls(energy)
    torch.manual_seed(1)
    terms = method.terms(x)
    assert set(terms) == {"data", "negatives"}
    torch.testing.assert_close(terms["data"], energy(x))
    here = gradients(method, terms)
    shifted = cls(lambda x: energy(x) + 3.0)
    torch.manual_seed(1)
    moved = torch.autograd.grad(
        sum(v.mean() for v in shifted.terms(x).values()), list(energy.parameters())
    )
    for a, b in zip(here, moved, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=32 * 1.2e-7 * 10)


def test_the_contrast_vanishes_on_equal_batches_and_changes_sign_with_them():
    energy, x, y = (
        ebm.energies.MLP(2).double(),
        torch.randn(9, 2).double(),
        torch.randn(9, 2).double(),
    )
    total = lambda terms: sum(v.mean() for v in terms.values())  # noqa: E731
    assert total(contrast(energy, x, x)).item() == 0
    torch.testing.assert_close(total(contrast(energy, x, y)), -total(contrast(energy, y, x)))


def test_no_gradient_flows_into_the_negatives():
    start = torch.randn(4, 2, requires_grad=True)
    for negatives in (start, 2 * start):
        terms = contrast(ebm.energies.MLP(2), torch.randn(4, 2), negatives)
        terms["negatives"].sum().backward()
        assert start.grad is None
        assert negatives.requires_grad


def test_short_steps_leave_the_negatives_at_their_data():
    x = 50 + torch.randn(8, 2)
    method = methods.ContrastiveDivergence(ebm.energies.Quadratic(), Langevin(1e-8), steps=3)
    assert (method.negatives(x) - x).abs().max() < 0.01


def test_the_gradient_is_that_of_the_likelihood_when_the_negatives_are_exact():
    energy = Tilted(0.2)
    points, volume = evaluation.cells([(-8, 8)], 4000)
    points, x = points.double(), torch.randn(32, 1, dtype=torch.float64)
    oracle = methods.MaximumLikelihood(energy, points, volume=volume)
    exact = gradients(oracle, oracle.terms(x))
    density = evaluation.density(energy, points, volume=volume)
    terms = contrast(energy, x, points)
    loss = terms["data"].mean() + (density.probabilities * terms["negatives"]).sum()
    for ours, theirs in zip(
        torch.autograd.grad(loss, list(energy.parameters())), exact, strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=32 * EPS * 10)


@pytest.mark.parametrize("sampler", [MALA(0.3), HMC(0.3, leapfrog_steps=3)], ids=["MALA", "HMC"])
def test_an_exact_kernel_leaves_no_gradient_on_data_of_the_model(sampler):
    energy = Tilted(0.5)
    x = samples(energy, 1, 40_000)
    torch.manual_seed(1)  # not the seed of the samples: the two must be independent
    negatives = methods.ContrastiveDivergence(energy, sampler, steps=2).negatives(x)
    assert (negatives - x).abs().mean() > 0.1  # the chains did move
    for feature in (lambda x: torch.sin(2 * x), torch.square, torch.clone):
        change = (feature(x) - feature(negatives)).squeeze()
        z = change.mean() / (change.std() / len(x) ** 0.5)
        assert abs(z) < 4


def quadratic(a, x):
    return a * x.square().sum(-1) / 2


def test_langevin_leaves_the_bias_that_theory_predicts():
    """On N(0, 1), E = a x^2 / 2: one step maps the variance v to (1 - h)^2 v + 2 h.

    At v = 1 it grows by h^2, so that the expected gradient in a is -h^2 / 2 after one step.
    """
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    x = torch.cat([half, -half]) / half.square().mean().sqrt()
    for step_size in (0.4, 0.2):
        a = nn.Parameter(torch.ones((), dtype=torch.float64))
        energy = functools.partial(quadratic, a)
        torch.manual_seed(1)
        method = methods.ContrastiveDivergence(energy, Langevin(step_size), steps=1)
        (gradient,) = torch.autograd.grad(sum(v.mean() for v in method.terms(x).values()), a)
        error = (0.5 / len(x)) ** 0.5 * 2 * (2 * step_size) ** 0.5
        assert abs(gradient.item() + step_size**2 / 2) < 5 * error
        assert step_size**2 / 2 > 5 * error  # the bias is visible


def test_a_run_made_to_diverge_says_how_and_leaves_its_last_good_checkpoint(tmp_path):
    data = torch.randn(64, 2)

    def make(step_size):
        energy = ebm.energies.Quadratic() + ebm.energies.MLP(2)
        return methods.ContrastiveDivergence(energy, Langevin(step_size), steps=30)

    options = {"seed": 0, "progress": False, "out": tmp_path, "save_every": 2}
    ebm.fit(make(0.1), data, steps=4, **options)
    with pytest.raises(ebm.Divergence, match="negatives must be finite, got -inf") as caught:
        ebm.fit(make(3.0), data, steps=400, resume=True, **options)  # stable below 2
    said = str(caught.value)
    assert (caught.value.step, caught.value.term) == (5, "negatives")
    sizes = {k: float(v) for k, v in re.findall(r"(\w+)=(-?\d[-+.e\d]*)", said)}
    assert sizes["data"] - sizes["energy_gap"] > 1e12  # the energy of the negatives
    assert sizes["gradient_norm"] > 1e6
    assert "Lower the learning rate or the sampler's step size" in said
    assert "step-000000004.pt" in said
    again = ebm.load(tmp_path, into=make(0.1))
    assert again.step == 4
    assert again.energy(data).isfinite().all()


def test_a_chain_that_blows_up_stops_the_run():
    data = torch.randn(64, 2)
    method = methods.ContrastiveDivergence(200 * ebm.energies.MLP(2), Langevin(1.0), steps=30)
    with pytest.raises(ebm.Divergence, match="negatives must be finite") as caught:
        ebm.fit(method, data, steps=200, seed=0, progress=False)
    assert "data=" in str(caught.value)


def test_the_gap_and_the_slope_are_metrics_of_every_contrastive_step():
    energy = Tilted(0.4)
    x, negatives = torch.randn(2, 7, 1, dtype=torch.float64)
    with watching() as noted:
        terms = contrast(energy, x, negatives)
    gap = energy(x).mean() - energy(negatives).mean()
    torch.testing.assert_close(noted["energy_gap"], gap.detach())
    torch.testing.assert_close(
        noted["gradient_norm"], ebm.score(energy, negatives).abs().mean().detach()
    )
    assert not noted["energy_gap"].requires_grad
    watched = gradients(energy, terms)
    assert watched == gradients(energy, contrast(energy, x, negatives))
    history = ebm.fit(
        methods.PersistentContrastiveDivergence(ebm.energies.MLP(1)),
        torch.randn(64, 1),
        steps=3,
        batch_size=16,
        seed=0,
        progress=False,
    )
    assert history.names == ["data", "negatives"]
    assert np.allclose(history["energy_gap"], history.total, atol=1e-6)
    assert (history["gradient_norm"] > 0).all()


def test_magnitude_is_a_named_term_and_off_by_default():
    method = methods.ContrastiveDivergence(ebm.energies.MLP(2), magnitude_weight=0.1)
    terms = method.terms(torch.randn(4, 2))
    expected = 0.1 * (terms["data"].square().mean() + terms["negatives"].square().mean())
    torch.testing.assert_close(terms["magnitude"], expected)


def test_the_gradient_penalty_is_a_named_term_and_off_by_default():
    x = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    method = methods.ContrastiveDivergence(
        ebm.energies.Quadratic(), Langevin(1e-6), steps=1, gradient_weight=0.5
    )
    torch.testing.assert_close(method.terms(x)["gradient"], torch.tensor([2.5, 4.5]))


def test_replay_continues_the_chains_and_start_makes_fresh_ones():
    replay = Replay(8, restart=0.0)
    method = methods.ContrastiveDivergence(
        ebm.energies.Quadratic(), Langevin(1e-8), steps=1, replay=replay, start=torch.ones_like
    )
    method.terms(torch.zeros(8, 2))
    replay.commit()
    torch.testing.assert_close(replay.chains, torch.ones(8, 2), atol=0.01, rtol=0)
    method.start = torch.zeros_like
    method.terms(torch.zeros(8, 2))
    replay.commit()
    torch.testing.assert_close(replay.chains, torch.ones(8, 2), atol=0.01, rtol=0)


def test_the_presets_are_the_two_regimes():
    energy = ebm.energies.MLP(2)
    convergent = methods.ContrastiveDivergence.convergent(energy, step_size=0.01)
    assert convergent.replay is not None
    assert convergent.sampler == MALA(0.01)
    short = methods.ContrastiveDivergence.short_run(energy, step_size=0.01, temperature=1e-4)
    assert short.sampler == Langevin(0.01, temperature=1e-4)
    assert short.negatives(torch.zeros(64, 2)).std() > 0.5


def test_the_kl_term_differentiates_the_last_step_in_the_energy():
    energy = Tilted(0.0)
    energy.scale.data.fill_(2.0)
    method = methods.PersistentContrastiveDivergence(
        energy, Langevin(0.1, temperature=0.0), steps=1, kl_weight=1.0, entropy_weight=0.0
    )
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    value = method.kl(x)  # F((1 - 0.1 a) x), F at a = 2
    torch.testing.assert_close(value, 0.8**2 * x.squeeze() ** 2)
    (gradient,) = torch.autograd.grad(value.sum(), energy.scale)
    torch.testing.assert_close(gradient, (2 * 0.8 * -0.1 * x.square()).sum())


def test_the_kl_term_refuses_a_sampler_that_rejects():
    with pytest.raises(ValueError, match="sampler must be Langevin for the KL term"):
        methods.PersistentContrastiveDivergence(ebm.energies.MLP(2), MALA(0.1), kl_weight=1.0)


def test_persistent_divergence_trains_with_its_kl_term():
    method = methods.PersistentContrastiveDivergence(
        ebm.energies.MLP(2), Langevin(0.01), steps=2, kl_weight=1.0
    )
    history = ebm.fit(method, torch.randn(64, 2), steps=3, batch_size=16, seed=0, progress=False)
    assert history.names == ["data", "negatives", "kl"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two_moons", "eight_gaussians"])
def test_the_defaults_learn_a_density(name):
    import toy_data

    points = getattr(toy_data, name)
    data = points(10_000, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    method = methods.ContrastiveDivergence(ebm.energies.MLP(2))
    ebm.fit(method, data, steps=2_000, seed=0, progress=False)
    density = evaluation.on_grid(method.energy, [(-5, 5), (-5, 5)])
    assert density.kl(points.log_prob) < 0.3
