"""Noise contrast in all its forms, and the exact densities of grids and enumerations."""

import math

import pytest
import torch
from cubature import gauss_hermite
from torch import nn

import ebm
import methods
from ebm import evaluation

EPS = torch.finfo(torch.float64).eps


# Exact densities.


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_grid_gives_the_normalizer_of_a_gaussian(temperature):
    target = ebm.energies.Gaussian([1.0, -0.5], [[1.0, 0.3], [0.3, 0.5]])
    density = evaluation.on_grid(target, [(-9, 11), (-9, 9)], temperature=temperature)
    expected = target.log_normalizer + math.log(temperature)  # Z scales by T^(d / 2)
    assert density.log_normalizer == pytest.approx(expected, abs=1e-5)
    if temperature == 1:
        assert density.kl(target.log_prob) == pytest.approx(0, abs=1e-5)
        assert density.total_variation(target.log_prob) == pytest.approx(0, abs=1e-4)
        x = target.sample(100)
        assert density.negative_log_likelihood(x) == pytest.approx(
            -target.log_prob(x).mean().item(), abs=1e-4
        )


def test_kl_and_total_variation_of_two_shifted_gaussians():
    model = ebm.energies.Gaussian([0.0], 1.0)
    true = ebm.energies.Gaussian([0.5], 1.0)
    density = evaluation.on_grid(model, [(-10, 10)], resolution=4000)
    assert density.kl(true.log_prob) == pytest.approx(0.125, abs=1e-5)
    exact = 2 * torch.special.ndtr(torch.tensor(0.25)).item() - 1
    assert density.total_variation(true.log_prob) == pytest.approx(exact, abs=1e-4)


def test_kl_is_not_symmetric_and_tells_which_way_it_goes():
    narrow, wide = ebm.energies.Gaussian([0.0], 0.5), ebm.energies.Gaussian([0.0], 2.0)
    density = evaluation.on_grid(wide, [(-14, 14)], resolution=4000)
    exact = 0.5 * (math.log(4) - 1 + 0.25)
    assert density.kl(narrow.log_prob) == pytest.approx(exact, abs=1e-5)


def test_enumeration_sums_over_all_states():
    states = evaluation.binary_states(4)
    assert states.shape == (16, 4)
    assert len(states.unique(dim=0)) == 16
    bias = torch.tensor([0.5, -1.0, 2.0, 0.0])
    density = evaluation.by_enumeration(lambda x: -(x @ bias), states)
    assert density.log_normalizer == pytest.approx(nn.functional.softplus(bias).sum().item())
    assert density.probabilities.sum().item() == pytest.approx(1)


def test_samples_of_a_density_follow_it():
    density = evaluation.on_grid(ebm.energies.Quadratic(), [(-6, 6)], resolution=1200)
    x = density.sample(50_000, torch.Generator().manual_seed(0))
    assert x.mean().abs() < 5 / 50_000**0.5
    assert abs(x.var() - 1) < 5 * (2 / 50_000) ** 0.5


def test_bad_supports_are_refused():
    with pytest.raises(ValueError, match="bounds must be one or two pairs"):
        evaluation.cells([(1, -1)], 10)
    with pytest.raises(ValueError, match="dim must be at most"):
        evaluation.binary_states(40)
    with pytest.raises(ValueError, match="finite normalizer"):
        evaluation.on_grid(lambda x: x.sum(-1) * math.nan, [(-1, 1)])
    with pytest.raises(ValueError, match=r"shape \(200,\), got \(200, 1\)"):
        evaluation.on_grid(lambda x: x[:, :1], [(-1, 1)])


# Noise contrastive estimation.


class Known(ebm.Energy):
    """-log q + features . weights + constant, for q standard normal in one dimension."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.constant = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        x = x.squeeze(-1)
        features = torch.stack([torch.sin(2 * x), x.square() / 4], -1)
        return x.square() / 2 + math.log(2 * math.pi) / 2 + features @ self.weights + self.constant


def standard_normal():
    zero = torch.zeros(1, dtype=torch.float64)
    return torch.distributions.Independent(torch.distributions.Normal(zero, zero + 1), 1)


@pytest.mark.parametrize("ratio", [1, 4])
def test_noise_contrast_at_the_noise_has_its_closed_value(ratio):
    method = methods.NoiseContrastiveEstimation(Known(), standard_normal(), ratio=ratio)
    terms = method.terms(torch.randn(8, 1, dtype=torch.float64))
    value = sum(v.mean() for v in terms.values())
    exact = math.log(1 + ratio) + ratio * math.log(1 + 1 / ratio)
    torch.testing.assert_close(value.item(), exact, rtol=32 * EPS, atol=0)
    if ratio == 1:
        assert value.item() == pytest.approx(2 * math.log(2), rel=1e-12)


@pytest.mark.parametrize("ratio", [1, 3])
def test_noise_contrast_is_stationary_at_the_truth_and_finds_log_z(ratio):
    """Population gradients by enumeration: data p, noise q over eight states."""
    states = evaluation.binary_states(3).double()
    logits = torch.tensor([0.3, -1.0, 0.7, 0.0, 1.2, -0.4, 0.1, -2.0], dtype=torch.float64)
    index = (states @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).long()
    table = nn.Parameter(-logits[index] - 0.4)
    position = lambda x: (x @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).long()  # noqa: E731
    p = torch.softmax(logits, 0)
    q = torch.softmax(torch.arange(8, dtype=torch.float64) / 5, 0)

    class Table:
        def sample(self, count):
            return states.repeat(ratio, 1)

        def log_prob(self, x):
            return q.log()[position(x)]

    method = methods.NoiseContrastiveEstimation(lambda x: table[position(x)], Table(), ratio=ratio)
    exact = torch.logsumexp(-table, 0)

    def gradients():
        terms = method.terms(states)
        noise = terms["noise"].view(ratio, 8).mean(0)
        loss = (p * terms["data"]).sum() + (q * noise).sum()
        return torch.autograd.grad(loss, [table, method.log_normalizer])

    method.log_normalizer.data = exact.detach().clone()
    assert all(g.abs().max() < 32 * EPS * 10 for g in gradients())
    method.log_normalizer.data = exact.detach() + 0.3
    assert gradients()[1] > 0.01  # log Z is pulled down to the truth
    method.log_normalizer.data = exact.detach() - 0.3
    assert gradients()[1] < -0.01
    method.log_normalizer.data = exact.detach().clone()
    with torch.no_grad():
        table[3] += 0.1
    assert gradients()[0][3] > 1e-3


def test_log_z_is_trained_and_converges_to_the_truth():
    target = ebm.energies.Gaussian([0.0, 0.0], 1.0)
    data = target.sample(4000, torch.Generator().manual_seed(0))
    fixed = lambda x: x.square().sum(-1) / 2 + 1.0  # noqa: E731
    noise = ebm.energies.Gaussian([0.3, 0.0], 2.0)
    method = methods.NoiseContrastiveEstimation(fixed, noise, ratio=4)
    ebm.fit(
        method,
        data,
        steps=300,
        batch_size=1000,
        seed=0,
        progress=False,
        optimizer=lambda m: torch.optim.Adam(m.parameters(), lr=0.02),
    )
    assert method.log_normalizer.item() == pytest.approx(math.log(2 * math.pi) - 1, abs=0.05)


def test_a_constant_moves_into_log_z():
    x = torch.randn(6, 1, dtype=torch.float64)
    energy = Known()
    method = methods.NoiseContrastiveEstimation(energy, standard_normal())
    before = method.log_ratio(x)
    energy.constant.data.add_(2.0)
    method.log_normalizer.data.sub_(2.0)
    torch.testing.assert_close(method.log_ratio(x), before)


@pytest.mark.parametrize("candidates", [1, 7])
def test_ranking_at_the_noise_is_log_of_the_number_of_candidates_and_shift_free(candidates):
    energy = Known()
    method = methods.RankingNoiseContrastiveEstimation(
        energy, standard_normal(), candidates=candidates
    )
    x = torch.randn(5, 1, dtype=torch.float64)
    exact = torch.full((5,), math.log(candidates + 1), dtype=torch.float64)
    torch.testing.assert_close(method.terms(x)["ranking"], exact)
    energy.constant.data.add_(5.0)
    torch.testing.assert_close(method.terms(x)["ranking"], exact)


def test_ranking_is_stationary_at_the_truth_and_not_beside_it():
    """One candidate: the population loss is a double sum over data and noise."""
    (x, wx), (y, wy) = gauss_hermite(60), gauss_hermite(60)
    tilt = lambda x: torch.sin(2 * x)  # noqa: E731
    data_weight = wx * torch.exp(-0.4 * tilt(x))
    data_weight = data_weight / data_weight.sum()
    energy = Known()
    pairs = torch.cartesian_prod(x, y)

    class Second:
        def sample(self, count):
            return pairs[:, 1:]

        def log_prob(self, x):
            return -x.squeeze(-1).square() / 2 - math.log(2 * math.pi) / 2

    method = methods.RankingNoiseContrastiveEstimation(energy, Second(), candidates=1)

    def gradient():
        loss = ((data_weight[:, None] * wy).flatten() * method.terms(pairs[:, :1])["ranking"]).sum()
        return torch.autograd.grad(loss, energy.weights)[0]

    energy.weights.data = torch.tensor([0.4, 0.0], dtype=torch.float64)
    assert gradient().abs().max() < 1e-10
    energy.weights.data[0] = -0.4  # a sign error
    assert gradient()[0] < -0.1


def test_conditional_contrast_of_a_constant_is_two_log_two():
    method = methods.ConditionalNoiseContrastiveEstimation(
        lambda x: 0 * x.sum(-1) + 3.0, sigma=0.5, ratio=3
    )
    torch.testing.assert_close(
        method.terms(torch.randn(4, 2))["contrast"], torch.full((4,), 2 * math.log(2))
    )


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_conditional_contrast_is_stationary_at_the_truth_and_not_beside_it(sigma):
    (x, wx), (noise, wn) = gauss_hermite(80), gauss_hermite(80)
    weight = wx * torch.exp(-0.4 * torch.sin(2 * x))
    weight = weight / weight.sum()
    energy = Known()
    pairs = torch.cartesian_prod(x, noise)
    method = methods.ConditionalNoiseContrastiveEstimation(energy, sigma=sigma)

    def gradient():
        loss = method.terms(pairs[:, :1], pairs[:, 1:])["contrast"]
        return torch.autograd.grad(((weight[:, None] * wn).flatten() * loss).sum(), energy.weights)[
            0
        ]

    energy.weights.data = torch.tensor([0.4, 0.0], dtype=torch.float64)
    assert gradient().abs().max() < 1e-3 * (1e-3 if sigma < 1 else 1)
    energy.weights.data[0] = 0.0
    assert gradient()[0] < -0.01


NOISY = [
    methods.NoiseContrastiveEstimation,
    methods.RankingNoiseContrastiveEstimation,
    methods.ConditionalNoiseContrastiveEstimation,
]


@pytest.mark.parametrize("cls", NOISY)
@pytest.mark.parametrize("shape", [(2,), (1, 4, 4)])
def test_examples_train_on_points_and_images(cls, shape):
    data = torch.randn(64, *shape)
    method = cls.example(data)
    history = ebm.fit(method, data, steps=3, batch_size=16, seed=0, progress=False)
    assert len(history) == 3
    assert method.energy(data).shape == (64,)


@pytest.mark.parametrize("cls", NOISY[:2])
def test_bad_noise_and_bad_energies_are_refused(cls):
    with pytest.raises(TypeError, match="noise must have sample and log_prob"):
        cls(ebm.energies.Quadratic(), torch.randn)
    wide = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    with pytest.raises(ValueError, match=r"Wrap it: torch\.distributions\.Independent"):
        cls(ebm.energies.Quadratic(), wide).terms(torch.randn(4, 2))
    with pytest.raises(ValueError, match=r"energy must return one value per example"):
        cls(nn.Linear(1, 1), standard_normal()).terms(torch.randn(4, 1))
