"""Energies add, mix, compose, and are checked once, centrally."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import ebm
from ebm.energy import evaluating, inputs, modules, without_parameters
from ebm.traits import CollapseValue, LowerBound, Reach, Rotation, UpperBound


class Ring(ebm.Energy):
    traits = (Rotation(), LowerBound(0.0, attained=True), CollapseValue(2.0))

    def forward(self, x):
        return (x.norm(dim=-1) - 1).square()


class Pair(ebm.Energy):
    def forward(self, x, y):
        return (x - y).square().sum(-1)


class BatchMean(ebm.Energy):
    reach = Reach.STATISTICS

    def forward(self, x):
        return x.mean(0).square().sum()


X = torch.tensor([[0.5, -1.0], [2.0, 0.25], [0.0, 3.0]], dtype=torch.float64)


def test_sum_is_the_weighted_sum_of_its_parts():
    energy = Ring() + 0.1 * ebm.energies.Quadratic() - 2 * Ring()
    expected = -Ring()(X) + 0.05 * X.square().sum(-1)
    torch.testing.assert_close(energy(X), expected)
    parts = energy.parts(X)
    assert list(parts) == ["ring", "quadratic", "ring_2"]
    torch.testing.assert_close(sum(parts.values()), energy(X))


def test_temperature_divides_every_part():
    energy = (Ring() + 3 * ebm.energies.Quadratic()) / 2
    torch.testing.assert_close(energy(X), (Ring()(X) + 1.5 * X.square().sum(-1)) / 2)


@pytest.mark.parametrize("weight", [2, 2.0, np.float64(2.0), np.int64(2)])
def test_a_number_may_stand_on_either_side(weight):
    for energy in (weight * Ring(), Ring() * weight):
        assert isinstance(energy, ebm.Energy)
        torch.testing.assert_close(energy(X), 2 * Ring()(X))


def test_python_sum_and_plain_callables_take_part():
    energy = sum([Ring(), Ring(), lambda x: x[:, 0]])
    torch.testing.assert_close(energy(X), 2 * Ring()(X) + X[:, 0])
    torch.testing.assert_close(((lambda x: x[:, 0]) + Ring())(X), Ring()(X) + X[:, 0])


def test_sum_states_common_traits_with_numbers_added():
    total = 2 * Ring() + Ring()
    assert Rotation() in total.traits
    assert LowerBound(0.0) in total.traits
    assert CollapseValue(6.0) in total.traits
    negative = -1 * Ring()
    assert any(isinstance(t, UpperBound) for t in negative.traits)
    assert not any(isinstance(t, LowerBound) for t in negative.traits)
    assert (Ring() + BatchMean()).reach == Reach.STATISTICS


def test_repr_reads_as_written():
    assert repr(Ring() + 0.1 * ebm.energies.Quadratic()) == "Ring() + 0.1 * Quadratic()"


def test_mixture_is_the_soft_minimum():
    a, b = Ring(), ebm.energies.Quadratic()
    expected = -torch.log(torch.exp(-a(X)) + torch.exp(-b(X)))
    torch.testing.assert_close(ebm.mixture(a, b)(X), expected)
    torch.testing.assert_close(ebm.mixture(a)(X), a(X))


def test_over_encodes_each_input():
    torch.manual_seed(0)
    f, g = nn.Linear(2, 3).double(), nn.Linear(2, 3).double()
    y = X.flip(0)
    torch.testing.assert_close(Pair().over(f)(X, y), Pair()(f(X), f(y)))
    torch.testing.assert_close(Pair().over(f, g)(X, y), Pair()(f(X), g(y)))
    parts = (Pair() + 2 * Pair()).over(f).parts(X, y)
    assert list(parts) == ["pair", "pair_2"]
    with pytest.raises(ValueError, match=r"got 2 inputs and 3 encoders"):
        Pair().over(f, g, f)(X, y)


def test_given_repeats_one_row_or_pairs_rows():
    y = X.flip(0)
    torch.testing.assert_close(Pair().given(y)(X), Pair()(X, y))
    torch.testing.assert_close(Pair().given(y[:1])(X), Pair()(X, y[:1].expand_as(X)))
    with pytest.raises(ValueError, match=r"given must have 1 row or 3.*got shape \(2, 2\)"):
        Pair().given(y[:2])(X)


def test_given_moves_with_the_module_and_is_not_saved():
    energy = Pair().given(X)
    assert energy.state_dict() == {}
    assert energy.float().given_0.dtype == torch.float32


def test_score_is_minus_the_gradient():
    torch.testing.assert_close(ebm.score(ebm.energies.Quadratic(), X), -X)
    torch.testing.assert_close(ebm.score(Pair(), X, X.flip(0)), -2 * (X - X.flip(0)))
    torch.testing.assert_close(ebm.score(lambda x: x[:, 0].exp(), X)[:, 0], -X[:, 0].exp())


def test_score_can_be_differentiated():
    x = X.clone().requires_grad_()
    s = ebm.score(lambda x: x.pow(4).sum(-1), x, create_graph=True)
    (second,) = torch.autograd.grad(s.sum(), x)
    torch.testing.assert_close(second, -12 * X.square())
    assert not ebm.score(Ring(), X).requires_grad


def test_score_works_without_grad_mode_and_leaves_x_alone():
    x = X.clone()
    with torch.no_grad():
        torch.testing.assert_close(ebm.score(ebm.energies.Quadratic(), x), -X)
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (lambda x: x.sum(-1, keepdim=True), r"shape \(3,\), got \(3, 1\)\. Add \.squeeze\(-1\)"),
        (lambda x: x.sum(), r"one value per example, got \(\)\. Remove \.mean\(\) or \.sum\(\)"),
        (lambda x: x, r"got \(3, 2\)\. Add \.flatten\(1\)"),
        (lambda x: x.sum(0), r"got \(2,\)\. Keep the batch axis"),
        (BatchMean(), r"own example alone for a score, got reach STATISTICS of BatchMean"),
        (lambda x: x.detach().sum(-1), r"differentiable in x.*Remove \.detach\(\)"),
    ],
)
def test_unusable_energies_are_refused_with_the_cure(energy, message):
    with pytest.raises(ValueError, match=message):
        ebm.score(energy, X)


class Wrong(ebm.Energy):
    """A batch of one number, or of rows of one, that claims to be one number per example."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def forward(self, x):
        return self.values(x.square().sum(-1))


def mean(values):
    return values.mean()


def column(values):
    return values[:, None]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Wrong(mean), r"wrong must return one value per example, got \(\)\. Remove \.mean\(\)"),
        (Wrong(column), r"wrong must return .*got \(3, 1\)\. Add \.squeeze\(-1\)"),
    ],
)
def test_a_sum_does_not_hide_a_part_that_would_broadcast(wrong, message):
    for energy in (Ring() + wrong, wrong + Ring(), (2 * wrong + Ring()) / 3):
        for use in (ebm.score, ebm.samplers.Langevin(0.1).step):
            with pytest.raises(ValueError, match=message):
                use(energy, X)


def test_a_sum_of_a_pair_energy_and_a_statistic_stays_a_loss():
    x, y = torch.randn(2, 5, 3)
    loss = ebm.terms.Invariance() + ebm.terms.Variance()
    assert loss(x, y).shape == (5,)


@pytest.mark.usefixtures("untyped")
def test_other_mistakes_name_the_cure():
    with pytest.raises(TypeError, match=r"energy must be callable, got int"):
        ebm.as_energy(3)
    with pytest.raises(TypeError, match=r"got the class Ring\. Write Ring\(\.\.\.\)"):
        ebm.as_energy(Ring)
    with pytest.raises(TypeError, match=r"floating point, got torch.int64. Call \.float\(\)"):
        ebm.score(Ring(), torch.ones(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"temperature must be a positive number"):
        Ring() / 0
    with pytest.raises(TypeError, match=r"weight must be a finite number, got nan"):
        float("nan") * Ring()
    with pytest.raises(TypeError, match=r"weight must be a finite number"):
        Ring() * torch.ones(2)
    with pytest.raises(ValueError, match=r"own example alone for a mixture"):
        ebm.mixture(Ring(), BatchMean())
    with pytest.raises(ValueError, match=r"at least one energy"):
        ebm.mixture()
    with pytest.raises(ValueError, match=r"at least one encoder"):
        Pair().over()


class Owner(ebm.Method):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))

    def energy(self, x):
        return self.net(x).squeeze(-1)


def test_a_bound_method_gets_the_algebra_and_its_owner_is_found():
    owner = Owner().double()
    energy = ebm.as_energy(owner.energy) + Ring()
    assert list(energy.parameters()) == []
    assert owner.net in list(modules(energy))
    with evaluating(energy):
        assert not owner.net[1].training
        torch.testing.assert_close(energy(X), energy(X))
    assert owner.net[1].training


@pytest.mark.parametrize("wrap", ["closure", "partial", "sum"])
def test_modules_behind_callables_are_found(wrap):
    net = nn.Linear(2, 1)
    energy = {
        "closure": lambda x: net(x).squeeze(-1),
        "partial": functools.partial(lambda n, x: n(x).squeeze(-1), net),
        "sum": ebm.as_energy(net) + Ring(),
    }[wrap]
    assert net in list(modules(energy))


def test_a_module_that_holds_its_own_method_is_found_once():
    owner = Owner()
    owner.again = ebm.as_energy(owner.energy)
    found = list(modules(owner))
    assert len(found) == len({id(module) for module in found}) == 5
    inner = lambda x: owner.energy(x)  # noqa: E731
    assert owner.net in list(modules(lambda x: inner(x)))


def test_flags_are_restored_after_an_exception():
    net = nn.Sequential(nn.Linear(2, 1), nn.Dropout())
    net[0].bias.requires_grad_(False)
    net[1].eval()
    with pytest.raises(RuntimeError, match="boom"), evaluating(net), without_parameters(net):
        assert not any(p.requires_grad for p in net.parameters())
        raise RuntimeError("boom")
    assert [p.requires_grad for p in net.parameters()] == [True, False]
    assert net.training
    assert not net[1].training


def test_frozen_passes_gradients_to_the_input_alone():
    net = nn.Linear(2, 2).double()
    x = X.clone().requires_grad_()
    ebm.frozen(net)(x).sum().backward()
    torch.testing.assert_close(x.grad, net.weight.detach().sum(0).expand_as(X))
    assert net.weight.grad is None
    assert net.weight.requires_grad


def test_inputs_counts_what_must_be_given():
    assert inputs(Ring()) == 1
    assert inputs(Pair()) == 2
    assert inputs(Pair().over(nn.Linear(2, 2))) == 2
    assert inputs(2 * Pair() + Pair()) == 2
    assert inputs(Pair().given(X)) == 1
    assert inputs(lambda x, y, scale=1.0: x) == 2
    assert inputs(Owner().energy) == 1
