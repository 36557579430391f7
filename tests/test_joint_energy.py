"""Energies that train beside another player or task: a classifier, a flow."""

import math

import pytest
import torch
from torch import nn

import ebm
import methods
import toy_data
from ebm.memory import Replay
from ebm.samplers import Langevin


def test_the_energy_is_the_logits_and_sums_over_the_labels():
    net = nn.Linear(2, 3)
    method = methods.JointEnergy(net)
    x, y = torch.randn(5, 2), torch.tensor([0, 1, 2, 0, 1])
    torch.testing.assert_close(method.energy(x, y), -net(x)[torch.arange(5), y])
    joint = torch.stack([method.energy(x, torch.full((5,), k)) for k in range(3)])
    torch.testing.assert_close(method.energy(x), -torch.logsumexp(-joint, 0))
    # p(y | x) = exp(-E(x, y)) / exp(-E(x))
    torch.testing.assert_close(
        torch.exp(method.energy(x) - method.energy(x, y)),
        torch.softmax(net(x), 1)[torch.arange(5), y],
    )


def test_the_terms_are_cross_entropy_and_the_contrast():
    net = nn.Linear(2, 3)
    method = methods.JointEnergy(net, Langevin(1e-8), steps=1, density_weight=0.5)
    x, y = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    terms = method.terms(x, y)
    torch.testing.assert_close(
        terms["classes"], method.energy(x, y) - method.energy(x), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(terms["data"], 0.5 * method.energy(x))
    torch.testing.assert_close(terms["negatives"], -0.5 * method.energy(x), atol=1e-3, rtol=0)
    alone = methods.JointEnergy(net, density_weight=0.0)
    assert set(alone.terms(x, y)) == {"classes"}


def test_a_number_added_to_all_logits_leaves_the_classes_and_moves_the_density():
    net = nn.Linear(2, 3)
    plain = methods.JointEnergy(net, density_weight=0.0)
    moved = methods.JointEnergy(Shifted(net), density_weight=0.0)
    x, y = torch.randn(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    torch.testing.assert_close(plain.terms(x, y), moved.terms(x, y))
    torch.testing.assert_close(moved.energy(x), plain.energy(x) - x.square().sum(-1))


class Shifted(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x) + x.square().sum(-1, keepdim=True)


def test_joint_energy_trains_from_its_example_with_a_buffer():
    data = toy_data.labeled_gaussians(256)
    method = methods.JointEnergy.example(data, steps=2)
    method.replay = Replay(512)
    history = ebm.fit(method, data, steps=3, batch_size=64, seed=0, progress=False)
    assert history.names == ["classes", "data", "negatives"]
    assert int(method.replay.filled) == 192
    assert method.energy(data[0]).shape == (256,)


class Shear(nn.Module):
    """The smallest flow: a Gaussian with learned location and scale."""

    def __init__(self):
        super().__init__()
        self.location = nn.Parameter(torch.zeros(2))
        self.log_scale = nn.Parameter(torch.zeros(2))

    def forward(self):
        normal = torch.distributions.Normal(self.location, self.log_scale.exp())
        return torch.distributions.Independent(normal, 1)


def test_the_energy_and_the_flow_move_in_turn_on_one_value():
    flow = Shear()
    method = methods.FlowContrastiveEstimation(
        ebm.energies.MLP(2), flow, energy_steps=1, likelihood_weight=0.0
    )
    x = torch.randn(32, 2)
    values = []
    for method.step in (0, 1):
        method.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        total = sum(v.mean() for v in method.terms(x).values())
        total.backward()
        values.append(total.item())
        mine, other = (method.energy, flow) if method.step == 0 else (flow, method.energy)
        assert all(p.grad is not None for p in mine.parameters())
        assert all(p.grad is None for p in other.parameters())
        assert (method.log_normalizer.grad is None) == (method.step == 1)
    assert values[0] == pytest.approx(-values[1], rel=1e-5)  # what one gains the other loses


def test_a_model_equal_to_the_flow_costs_two_log_two():
    flow = Shear()
    energy = lambda x: -flow().log_prob(x)  # noqa: E731
    method = methods.FlowContrastiveEstimation(energy, flow)
    terms = method.terms(torch.randn(8, 2))
    torch.testing.assert_close(terms["data"] + terms["noise"], torch.full((8,), 2 * math.log(2)))
    method.log_normalizer.data.fill_(0.5)  # the model is too small: data call for more
    terms = method.terms(torch.randn(8, 2))
    assert (terms["data"] > math.log(2)).all()
    assert (terms["noise"] < math.log(2)).all()


def test_flow_contrast_trains_from_its_example():
    pytest.importorskip("zuko")
    data = toy_data.two_moons(256)
    method = methods.FlowContrastiveEstimation.example(data)
    history = ebm.fit(method, data, steps=5, batch_size=64, seed=0, progress=False)
    assert {"data", "noise", "flow_data", "likelihood"} <= set(history.names)
    assert method.energy(data).shape == (256,)
