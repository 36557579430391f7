"""Adversarial training: turns, signs, the margin, and the entropy bound."""

import math

import pytest
import torch
from torch import nn

import ebm
import methods
from methods.contrastive.adversarial import entropy_bound


def small(**hyper):
    return methods.Adversarial(
        ebm.energies.MLP(2, hidden=(8,)), nn.Linear(3, 2), noise_dim=3, **hyper
    )


def moved(method, x):
    """Which players get a gradient from this step's terms."""
    method.zero_grad(set_to_none=True)
    sum(value.mean() for value in method.terms(x).values()).backward()
    cost = any(p.grad is not None for p in method.energy.parameters())
    generator = any(p.grad is not None for p in method.generator.parameters())
    return cost, generator


@pytest.mark.parametrize("cost_steps", [1, 3])
def test_the_players_move_in_turn(cost_steps):
    method, x = small(cost_steps=cost_steps), torch.randn(5, 2)
    turns = []
    for method.step in range(2 * (cost_steps + 1)):
        turns.append(moved(method, x))
    assert turns == 2 * ([(True, False)] * cost_steps + [(False, True)])
    assert all(p.requires_grad for p in method.parameters())


def test_the_cost_goes_down_on_data_and_up_on_samples():
    method = methods.Adversarial(ebm.energies.Quadratic(), nn.Linear(3, 2), noise_dim=3)
    terms = method.terms(torch.ones(4, 2))
    torch.testing.assert_close(terms["data"], torch.ones(4).exp().log1p())
    assert (terms["samples"] < math.log(2)).all()  # softplus of minus an energy above zero


@pytest.mark.parametrize("cost", [nn.Linear(2, 1), lambda x: x.square().mean()])
def test_a_cost_of_another_shape_is_refused(cost):
    method = methods.Adversarial(cost, nn.Linear(3, 2), noise_dim=3)
    with pytest.raises(ValueError, match=r"energy must return one value per example"):
        method.terms(torch.ones(4, 2))


def test_the_generator_minimizes_the_cost_of_its_samples():
    method, x = small(), torch.randn(6, 2)
    method.step = 1
    torch.manual_seed(1)
    value = method.terms(x)["generator"]
    torch.manual_seed(1)
    torch.testing.assert_close(value, method.energy(method.sample(x)))


def test_the_margin_form_stops_pushing_beyond_the_margin():
    far = nn.Linear(3, 2)
    nn.init.constant_(far.bias, 100.0)
    method = methods.Adversarial(ebm.energies.Quadratic(), far, noise_dim=3, margin=5.0)
    terms = method.terms(torch.ones(4, 2))
    torch.testing.assert_close(terms["data"], torch.ones(4))
    assert terms["samples"].eq(0).all()
    nn.init.zeros_(far.weight)
    nn.init.zeros_(far.bias)
    torch.testing.assert_close(method.terms(torch.ones(4, 2))["samples"], torch.full((4,), 5.0))


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_the_entropy_bound_is_exact_for_one_center_and_for_centers_far_apart(dim):
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(64, dim, generator=generator, dtype=torch.float64)
    gaussian = dim / 2 * math.log(2 * math.pi * 0.01)
    squares = noise.square().sum(-1) / 0.02
    same = torch.zeros(64, dim, dtype=torch.float64)
    torch.testing.assert_close(entropy_bound(same, same + noise, 0.1), gaussian + squares)
    apart = 100.0 * torch.arange(64, dtype=torch.float64)[:, None].expand(64, dim)
    torch.testing.assert_close(
        entropy_bound(apart, apart + noise, 0.1), gaussian + squares + math.log(64)
    )


def test_the_entropy_bound_stays_below_the_entropy_of_a_gaussian():
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(1000, 16, 2, generator=generator, dtype=torch.float64)
    noise = 0.5 * torch.randn(1000, 16, 2, generator=generator, dtype=torch.float64)
    bounds = torch.stack(
        [entropy_bound(c, c + e, 0.5).mean() for c, e in zip(centers, noise, strict=True)]
    )
    exact = math.log(2 * math.pi * math.e * 1.25)
    error = bounds.std().item() / 1000**0.5
    assert exact - 0.3 < bounds.mean().item() < exact - 5 * error


def test_the_entropy_term_spreads_the_samples():
    method, x = small(entropy_weight=1.0, blur=0.1), torch.randn(64, 2)
    with torch.no_grad():
        method.generator.weight.mul_(0.05)
    method.step = 1
    method.terms(x)["entropy"].mean().backward()
    assert (method.generator.weight.grad * method.generator.weight).sum() < 0


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="blur must be a positive number for the entropy"):
        small(entropy_weight=1.0)
    with pytest.raises(ValueError, match="noise_dim must be a whole number"):
        methods.Adversarial(ebm.energies.Quadratic(), nn.Linear(1, 1), noise_dim=0)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_it_trains_from_its_example_for_points_and_images(shape):
    data = torch.randn(64, *shape)
    method = methods.Adversarial.example(data)
    history = ebm.fit(method, data, steps=4, batch_size=16, seed=0, progress=False)
    assert {"data", "samples", "generator"} <= set(history.names)
    assert method.sample(data).shape == data.shape
    assert method.energy(data).shape == (64,)


def test_the_example_takes_its_options_for_points_and_for_images():
    for data in (torch.randn(20, 2), torch.randn(20, 1, 4, 4)):
        method = methods.Adversarial.example(data, cost_steps=3, entropy_weight=0.5, blur=0.2)
        assert (method.cost_steps, method.entropy_weight, method.blur) == (3, 0.5, 0.2)
    points, images = (methods.Adversarial.example(torch.randn(20, *s)) for s in ((2,), (1, 4, 4)))
    assert (points.cost_steps, points.entropy_weight, points.blur) == (2, 1.0, 0.1)
    assert (images.cost_steps, images.entropy_weight, images.blur) == (1, 0.0, 0.0)
