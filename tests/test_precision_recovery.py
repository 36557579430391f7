"""Every contrastive loss finds a Gaussian's precision, or the odds of units, at d = 1, 2, 8."""

import math

import pytest
import torch
from torch import nn

import ebm
import methods
from ebm import evaluation
from ebm.energies.states import binary_states
from ebm.memory import Replay
from ebm.samplers import MALA

DIMS = pytest.mark.parametrize("dim", [1, 2, 8])
COUNT = 20_000


class Precision(ebm.Energy):
    """a |x - b|^2 / 2 + c."""

    def __init__(self, a=1.0, b=0.0):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))
        self.c = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        return self.a * (x - self.b).square().sum(-1) / 2 + self.c


class Wide(nn.Module):
    """A flow that does not learn: a Gaussian of standard deviation 1.5."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self):
        return normal(self.dim, 1.5)


class Twice(nn.Module):
    """Two classes that are equally likely everywhere: E(x) is the energy less log 2."""

    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def forward(self, x):
        return -self.energy(x)[:, None].expand(-1, 2)


class Scaled(nn.Module):
    """A generator that does not learn: twice its noise."""

    def forward(self, noise):
        return 2 * noise


def normal(dim, scale):
    mean = torch.zeros(dim, dtype=torch.float64)
    return torch.distributions.Independent(torch.distributions.Normal(mean, mean + scale), 1)


def gaussian(dim, count=COUNT):
    """Standard normal data, centered and scaled to have the moments exactly."""
    x = torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (x - x.mean(0)) / x.std(0, correction=0)


def value(method, x):
    return sum(term.mean() for term in method.terms(x).values())


def descend(parameters, objective):
    """Minimize to the end, with the same noise in every call."""
    optimizer = torch.optim.LBFGS(parameters, max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        torch.manual_seed(1)
        loss = objective()
        loss.backward()
        return loss

    optimizer.step(closure)


NOISY = {
    "noise contrast": lambda e, d: methods.NoiseContrastiveEstimation(e, normal(d, 1.5), ratio=2),
    "ranking": lambda e, d: methods.RankingNoiseContrastiveEstimation(
        e, normal(d, 1.5), candidates=4
    ),
    "conditional": lambda e, d: methods.ConditionalNoiseContrastiveEstimation(e, sigma=1.0),
    "flow contrast": lambda e, d: methods.FlowContrastiveEstimation(e, Wide(d)),
}


@DIMS
@pytest.mark.parametrize("name", NOISY)
def test_noise_contrast_recovers_the_precision(name, dim):
    energy = Precision(2.0, 0.4)
    method = NOISY[name](energy, dim).double()
    x = gaussian(dim)
    trained = [p for p in method.parameters() if p is not energy.c]
    descend(trained, lambda: value(method, x))
    assert energy.a.item() == pytest.approx(1, abs=0.08)
    assert energy.b.item() == pytest.approx(0, abs=0.05)
    if hasattr(method, "log_normalizer"):
        exact = dim / 2 * math.log(2 * math.pi)
        assert method.log_normalizer.item() == pytest.approx(exact, abs=0.05 * dim)


CHAINS = {
    "contrastive divergence": lambda e, s: methods.ContrastiveDivergence(e, s, steps=3),
    "persistent": lambda e, s: methods.PersistentContrastiveDivergence(
        e, s, steps=3, replay=Replay(2_000)
    ),
    "joint energy": lambda e, s: methods.JointEnergy(Twice(e), s, steps=3),
}


@DIMS
@pytest.mark.parametrize("name", CHAINS)
def test_chains_recover_the_precision(name, dim):
    energy, x = Precision(2.0, 0.4), gaussian(dim, 1_000)
    method = CHAINS[name](energy, MALA(0.3))
    optimizer = torch.optim.SGD([energy.a, energy.b], lr=0.3 / dim)
    labels = torch.zeros(len(x), dtype=torch.long)
    late = []
    torch.manual_seed(1)
    for step in range(120):
        terms = method.terms(x, labels) if name == "joint energy" else method.terms(x)
        optimizer.zero_grad()
        sum(term.mean() for term in terms.values()).backward()
        optimizer.step()
        if getattr(method, "replay", None) is not None:
            method.replay.commit()
        if step >= 60:
            late.append((energy.a.item(), energy.b.item()))
    a, b = torch.tensor(late).mean(0).tolist()
    assert a == pytest.approx(1, abs=0.1)
    assert b == pytest.approx(0, abs=0.1)


@DIMS
def test_a_cost_becomes_the_log_ratio_of_its_generator_to_the_data(dim):
    """Data of precision 1, samples of 1/4: E = log q - log p = 3/4 |x|^2 / 2 - d log 2."""
    cost, x = Precision(0.2, 0.3), gaussian(dim)
    method = methods.Adversarial(cost, Scaled(), noise_dim=dim)
    descend(list(cost.parameters()), lambda: value(method, x))
    assert cost.a.item() == pytest.approx(0.75, abs=0.05)
    assert cost.b.item() == pytest.approx(0, abs=0.05)
    assert cost.c.item() == pytest.approx(-dim * math.log(2), abs=0.05 * dim)


@DIMS
def test_exact_likelihood_is_stationary_at_the_precision_and_not_beside_it(dim):
    # Sums over even spacing converge at once: 1.4 is fine enough for a Gaussian.
    centers = torch.arange(-2.5, 3, dtype=torch.float64) * 1.4
    axes = torch.meshgrid(*[centers] * dim, indexing="ij")
    support = torch.stack(axes, -1).flatten(0, -2)
    volume = float(centers[1] - centers[0]) ** dim
    energy, x = Precision(), gaussian(dim)
    method = methods.MaximumLikelihood(energy, support, volume=volume)

    def slope():
        return torch.autograd.grad(value(method, x), [energy.a, energy.b])

    a, b = slope()
    assert abs(a) < 0.02 * dim
    assert abs(b) < 1e-8
    energy.a.data.fill_(1.2)
    energy.b.data.fill_(0.3)
    a, b = slope()
    assert a > 0.05 * dim  # descent takes both back
    assert b > 0.2 * dim


BINARY = [methods.RatioMatching, methods.MinimumProbabilityFlow]


@DIMS
@pytest.mark.parametrize("cls", BINARY)
def test_binary_losses_recover_the_odds_of_skewed_units(cls, dim):
    """Population losses by enumeration: units of their own odds, most of them unlikely."""
    states = binary_states(dim).double()
    odds = torch.linspace(-2.0, 0.7, dim, dtype=torch.float64)
    p = evaluation.by_enumeration(lambda x: -(x @ odds), states).probabilities
    learned = nn.Parameter(torch.zeros(dim, dtype=torch.float64))
    method = cls(lambda x: -(x @ learned))
    descend([learned], lambda: (p * next(iter(method.terms(states).values()))).sum())
    torch.testing.assert_close(learned.data, odds, atol=1e-3, rtol=0)
