"""Margin losses over discrete answers: signs, bounds, and relations among the rows."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ebm.terms import MarginLoss
from ebm.traits import ShiftInvariance, find

TABLE = {loss.name: loss for loss in MarginLoss.table()}
EPS = torch.finfo(torch.float64).eps
rows = pytest.mark.parametrize("loss", TABLE.values(), ids=TABLE)


@st.composite
def _answers(draw, low=-10.0):
    n, answers = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    numbers = st.lists(st.floats(low, 10, width=32), min_size=answers, max_size=answers)
    energies = draw(st.lists(numbers, min_size=n, max_size=n))
    right = draw(st.lists(st.integers(0, answers - 1), min_size=n, max_size=n))
    return torch.tensor(energies, dtype=torch.float64), torch.tensor(right)


def _shifted(loss, energies):
    return energies - energies.min() if loss.nonnegative else energies


@rows
@given(_answers(), st.floats(-10, 10))
def test_signs_bounds_and_shifts(loss, drawn, shift):
    energies, right = drawn
    energies = _shifted(loss, energies).requires_grad_()
    values = loss(energies, right)
    assert values.shape == (len(right),)
    (slope,) = torch.autograd.grad(values.sum(), energies)
    own = slope.gather(1, right[:, None])
    others = slope.scatter(1, right[:, None], 0.0)
    slack = 32 * EPS * (1 + energies.detach().abs().max())
    assert (own >= -slack).all()  # the right answer is pushed down
    assert (others <= slack).all()  # and no wrong one is
    if loss.name != "energy":
        assert (values >= -slack).all()
    moved = loss(energies + shift, right) - values
    tolerance = 32 * EPS * (energies.detach().abs().max() + abs(shift) + 1)
    if loss.shift_invariant:
        assert find(loss.traits, ShiftInvariance)
        assert (moved.abs() <= tolerance).all()


@rows
def test_the_right_answer_goes_down_and_the_worst_wrong_one_up(loss):
    # Wrong answer lowest, but within every band: all rows but the energy push both.
    energies = torch.tensor([[0.9, 0.5, 2.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(energies, torch.tensor([0])).sum(), energies)
    assert slope[0, 0] > 0
    assert slope[0, 1] < 0 or loss.name == "energy"
    assert slope[0, 2] == 0 or loss.needs_all


@rows
def test_the_margin_is_where_pushing_ends(loss):
    def push(gap):
        right = 0.0 if loss.nonnegative else -gap
        wrong = gap if loss.nonnegative else 0.0
        energies = torch.tensor([[right, wrong]], dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(loss(energies, torch.tensor([0])).sum(), energies)[0][0, 1]

    if loss.margin is None:
        assert push(-1.0) == 0
    elif loss.margin == math.inf:
        assert push(5.0) < 0
    else:
        assert push(loss.margin - 0.01) < 0
        assert push(loss.margin + 0.01) == 0


@given(_answers())
def test_relations_among_the_rows(drawn):
    energies, right = drawn
    slack = 32 * EPS * (energies.abs().max() + 1)
    own = energies.gather(1, right[:, None])[:, 0]
    value = {name: loss(energies, right) for name, loss in TABLE.items() if not loss.nonnegative}
    u = own - energies.scatter(1, right[:, None], math.inf).amin(1)
    assert torch.allclose(value["perceptron"], own - energies.amin(1), atol=float(slack))
    assert (value["perceptron"] <= value["log"] + slack).all()
    assert (value["log"] <= u.relu() + math.log(2) + slack).all()
    assert (value["log"] <= value["likelihood"] + slack).all()
    assert torch.allclose(value["empirical_error"], 1 - torch.exp(-value["likelihood"]))
    if energies.shape[1] == 2:
        assert torch.allclose(value["log"], value["likelihood"], atol=float(slack))
    cold = MarginLoss.likelihood(temperature=1e-3)(energies, right)
    bound = 1e-3 * math.log(energies.shape[1])
    assert (
        (cold - value["perceptron"] >= -slack) & (cold - value["perceptron"] <= bound + slack)
    ).all()


def test_values_by_hand():
    energies = torch.tensor([[1.0, 0.5, 3.0]], dtype=torch.float64)
    right = torch.tensor([0])
    expected = {
        "energy": 1.0,
        "perceptron": 0.5,
        "hinge": 1.5,
        "log": math.log(1 + math.exp(0.5)),
        "lvq2": 0.5,
        "classification": 1 / (1 + math.exp(-0.5)),
        "square_square": 1.0 + 0.25,
        "square_exponential": 1.0 + math.exp(-0.5),
        "likelihood": 1 + math.log(math.exp(-1) + math.exp(-0.5) + math.exp(-3)),
        "empirical_error": 1 - math.exp(-1) / (math.exp(-1) + math.exp(-0.5) + math.exp(-3)),
    }
    assert set(expected) == set(TABLE)
    for name, value in expected.items():
        assert TABLE[name](energies, right).item() == pytest.approx(value, rel=1e-14)
    # lvq2 saturates; the log row keeps its digits where softplus turns linear.
    far = torch.tensor([[30.0, 0.0]], dtype=torch.float64)
    assert TABLE["lvq2"](far, right).item() == 1.0
    assert TABLE["log"](far, right).item() - 30 == pytest.approx(math.exp(-30), abs=5e-15)


def test_square_square_is_not_shift_invariant():
    energies, right = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
    for name in ("energy", "square_square", "square_exponential"):
        loss = TABLE[name]
        assert not loss.shift_invariant
        assert loss(energies + 1, right).item() != pytest.approx(loss(energies, right).item())


def test_bad_input_gets_the_cure():
    with pytest.raises(ValueError, match="energies must have shape"):
        MarginLoss.hinge()(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="margin must be a positive number"):
        MarginLoss.hinge(margin=0.0)
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        MarginLoss.likelihood(temperature=-1.0)
