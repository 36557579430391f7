"""Score matching against closed forms: Gaussian precision at d = 1, 2, 8; a skewed target."""

import pytest
import torch
from cubature import gauss_hermite, second_moments
from torch import nn

import ebm
import methods

EPS = torch.finfo(torch.float64).eps


class Precision(ebm.Energy):
    """a |x - b|^2 / 2."""

    def __init__(self, a=1.0, b=0.0):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def forward(self, x):
        return self.a * (x - self.b).flatten(1).square().sum(-1) / 2


def descend(energy, objective):
    """Minimize to the end."""
    optimizer = torch.optim.LBFGS(
        energy.parameters(),
        max_iter=200,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    optimizer.step(closure)


class Skewed(ebm.Energy):
    """-log of 0.8 N(-1, v1) + 0.2 N(2, v2) in one dimension, blurred by variance."""

    def __init__(self, blur=0.0):
        super().__init__()
        self.blur = blur

    def forward(self, x):
        variance = x.new_tensor([0.3, 1.0]) + self.blur
        mean, weight = x.new_tensor([-1.0, 2.0]), x.new_tensor([0.8, 0.2])
        exponent = -(x - mean).square() / (2 * variance) - variance.log() / 2 + weight.log()
        return -torch.logsumexp(exponent, dim=-1)

    @staticmethod
    def nodes(count):
        """Points and weights that integrate against the density."""
        z, w = gauss_hermite(count)
        x = torch.cat([-1 + 0.3**0.5 * z, 2 + z])
        return x, torch.cat([0.8 * w, 0.2 * w])


@pytest.mark.parametrize("dim", [1, 2, 8])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_denoising_has_its_optimum_at_the_precision_of_the_noised_data(dim, sigma):
    points = second_moments(2 * dim)
    energy = Precision(a=1 / (1 + sigma**2))
    method = methods.DenoisingScoreMatching(energy, sigma=sigma)
    loss = method.terms(points[:, :dim], points[:, dim:])["denoising"].mean()
    gradient = torch.autograd.grad(loss, list(energy.parameters()))
    scale = dim / sigma**2 * (1 + sigma**2)
    assert all(g.abs() < 32 * EPS * scale for g in gradient)
    # E|x + sigma noise|^2 = d (1 + sigma^2), and the cross term is -d a.
    a = energy.a.detach()
    expected = dim / 2 * (a**2 * (1 + sigma**2) - 2 * a + 1 / sigma**2)
    torch.testing.assert_close(loss, expected, rtol=32 * EPS, atol=32 * EPS * scale)
    torch.testing.assert_close(loss, dim / 2 * (1 / sigma**2 - a))


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_denoising_descends_to_that_optimum(dim):
    points = second_moments(2 * dim)
    energy = Precision(a=3.0, b=1.0)
    method = methods.DenoisingScoreMatching(energy, sigma=0.5)
    descend(energy, lambda: method.terms(points[:, :dim], points[:, dim:])["denoising"].mean())
    assert energy.a.item() == pytest.approx(0.8, abs=1e-6)
    assert energy.b.item() == pytest.approx(0.0, abs=1e-6)


def test_denoising_has_its_optimum_at_a_skewed_noised_density():
    """A sign error cannot pass: the gradient is zero at the noised density and not beside it."""
    sigma = 0.7
    (x, wx), (noise, wn) = Skewed.nodes(40), gauss_hermite(40)
    weight = (wx[:, None] * wn).flatten()
    pairs = torch.cartesian_prod(x, noise)
    mix = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    noised = Skewed(blur=sigma**2)
    noised_only = lambda x: noised(x) + (mix * torch.cat([x, x**2, x.sin()], -1)).sum(-1)  # noqa: E731
    method = methods.DenoisingScoreMatching(noised_only, sigma=sigma)

    def gradient():
        loss = method.terms(pairs[:, :1], pairs[:, 1:])["denoising"]
        return torch.autograd.grad((weight * loss).sum(), mix)[0]

    assert gradient().abs().max() < 1e-8  # the quadrature's own error
    with torch.no_grad():
        mix[0] = 0.01
    assert gradient()[0].item() == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 8])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_denoising_is_implicit_matching_of_the_noised_density(sigma, dim):
    """DSM = E_q[|s|^2 / 2 + div s] + d / (2 sigma^2), q the noised density.

    The energy is a sum over coordinates, so that each needs to have its law and no more:
    the same nodes serve all.
    """
    energy = lambda x: (x**4 / 4 - x**3 / 3 + x).sum(-1)  # noqa: E731
    (x, wx), (noise, wn) = gauss_hermite(20), gauss_hermite(20)
    pairs, weight = torch.cartesian_prod(x, noise), (wx[:, None] * wn).flatten()
    method = methods.DenoisingScoreMatching(energy, sigma=sigma)
    terms = method.terms(pairs[:, :1].expand(-1, dim), pairs[:, 1:].expand(-1, dim))
    ours = (weight * terms["denoising"]).sum()
    y = ((1 + sigma**2) ** 0.5 * x)[:, None].expand(-1, dim)
    implicit = sum((wx * v).sum() for v in methods.ScoreMatching(energy).terms(y).values())
    torch.testing.assert_close(ours, implicit + dim / (2 * sigma**2), rtol=1e-12, atol=1e-12)


def test_denoising_sums_over_all_axes_of_an_image():
    x = torch.randn(3, 1, 4, 4)
    flat = methods.DenoisingScoreMatching(ebm.energies.Quadratic(), sigma=0.5)
    noise = torch.randn_like(x)
    torch.testing.assert_close(
        flat.terms(x, noise)["denoising"],
        flat.terms(x.flatten(1), noise.flatten(1))["denoising"],
    )


def test_the_ladder_is_the_plain_loss_at_one_level_and_sees_its_sigma():
    x, noise = torch.randn(5, 2), torch.randn(5, 2)
    energy = lambda x, sigma: x.square().sum(-1) / (2 * (1 + sigma**2))  # noqa: E731
    one = methods.DenoisingScoreMatching(lambda x: energy(x, 0.5), sigma=0.5)
    ladder = methods.DenoisingScoreMatching(energy, sigma=[0.5])
    torch.testing.assert_close(ladder.terms(x, noise), one.terms(x, noise))


def test_the_ladder_weighs_a_level_by_its_share_of_the_largest_variance():
    levels = (0.1, 0.5, 2.0)
    x, noise = torch.randn(2, 60, 1, dtype=torch.float64)
    torch.manual_seed(3)
    method = methods.DenoisingScoreMatching(lambda x, sigma: Skewed()(x), sigma=levels)
    found = method.terms(x, noise)["denoising"]
    torch.manual_seed(3)
    drawn = torch.randint(3, (60,))
    for level, sigma in enumerate(levels):
        plain = methods.DenoisingScoreMatching(Skewed(), sigma=sigma).terms(x, noise)["denoising"]
        rows = drawn == level
        assert rows.sum() > 5
        torch.testing.assert_close(found[rows], (sigma / 2) ** 2 * plain[rows], rtol=1e-12, atol=0)


def test_denoising_refuses_what_is_no_floating_point_data():
    for cls in (methods.ScoreMatching, methods.SlicedScoreMatching):
        with pytest.raises(TypeError, match=r"x must be floating point, got torch.int64\. Call"):
            cls(Skewed()).terms(torch.ones(3, 1).long())
    with pytest.raises(TypeError, match=r"x must be floating point, got torch.int64\. Call"):
        methods.DenoisingScoreMatching(Skewed(), sigma=0.1).terms(torch.ones(3, 1).long())


def test_every_level_of_the_ladder_has_the_optimum_of_its_own_sigma():
    levels = (2.0, 0.5, 0.1)
    log_precision = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    table = torch.tensor(levels, dtype=torch.float64)
    points = second_moments(4).repeat(200, 1)

    def energy(x, sigma):
        level = (sigma[:, None] - table).abs().argmin(-1)
        return log_precision.exp()[level] * x.square().sum(-1) / 2

    method = methods.DenoisingScoreMatching(energy, sigma=levels)
    with torch.no_grad():
        log_precision.copy_(-(1 + table**2).log())
    # At the optimum the mean over complete sets of points vanishes level by level; here the
    # levels are drawn, so the mean is small against the spread.
    loss = method.terms(points[:, :2], points[:, 2:])["denoising"]
    (gradient,) = torch.autograd.grad(loss.mean(), log_precision)
    assert gradient.abs().max() < 0.05
    with torch.no_grad():
        log_precision.add_(1.0)
    loss = method.terms(points[:, :2], points[:, 2:])["denoising"]
    (gradient,) = torch.autograd.grad(loss.mean(), log_precision)
    assert (gradient[:2] > 0.05).all()


def test_denoising_refuses_bad_levels():
    for sigma in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="sigma must be a positive number"):
            methods.DenoisingScoreMatching(ebm.energies.Quadratic(), sigma=sigma)
    with pytest.raises(ValueError, match="sigma must hold at least one level"):
        methods.DenoisingScoreMatching(ebm.energies.Quadratic(), sigma=[])


def test_denoising_trains_from_its_example():
    data = torch.randn(512, 2)
    method = methods.DenoisingScoreMatching.example(data, sigma=0.5)
    history = ebm.fit(method, data, steps=40, seed=0, progress=False)
    assert history["denoising"][-10:].mean() < history["denoising"][:10].mean()
    assert method.energy(data[:4]).shape == (4,)


# Exact and sliced score matching.


@pytest.mark.parametrize("dim", [1, 2, 8])
@pytest.mark.parametrize(
    "make",
    [
        methods.ScoreMatching,
        methods.SlicedScoreMatching,
        lambda e: methods.SlicedScoreMatching(e, variance_reduced=False),
    ],
    ids=["exact", "sliced", "plain slices"],
)
def test_exact_and_sliced_matching_have_their_optimum_at_the_precision(dim, make):
    x = second_moments(dim)
    energy = Precision()
    method = make(energy)
    # Every pair of a point and a direction, directions +-sqrt(d) e_i: E[v v^T] = I exactly.
    pairs = (x.repeat_interleave(2 * dim, 0), x.repeat(2 * dim, 1)[None])
    given = pairs if isinstance(method, methods.SlicedScoreMatching) else (x,)
    loss = sum(v.mean() for v in method.terms(*given).values())
    torch.testing.assert_close(loss.item(), -dim / 2, rtol=32 * EPS, atol=0)
    for gradient in torch.autograd.grad(loss, list(energy.parameters())):
        assert gradient.abs() < 32 * EPS * dim
    energy.a.data.fill_(3.0)
    energy.b.data.fill_(0.5)
    descend(energy, lambda: sum(v.mean() for v in method.terms(*given).values()))
    assert energy.a.item() == pytest.approx(1.0, abs=1e-6)
    assert energy.b.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("cls", [methods.ScoreMatching, methods.SlicedScoreMatching])
def test_exact_and_sliced_matching_have_their_optimum_at_a_skewed_density(cls):
    truth = Skewed()
    x = torch.linspace(-12, 14, 2001, dtype=torch.float64)[:, None]
    weight = torch.softmax(-truth(x), 0)  # sums over even spacing converge at once
    mix = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    method = cls(lambda x: truth(x) + (mix * torch.cat([x, x**2, x.sin()], -1)).sum(-1))

    def gradient():
        loss = sum((weight * v).sum() for v in method.terms(x).values())
        return torch.autograd.grad(loss, mix)[0]

    assert gradient().abs().max() < 1e-8
    with torch.no_grad():
        mix[0] = 0.01
    assert gradient()[0].item() == pytest.approx(0.01, rel=1e-6)


def test_the_divergence_is_the_trace_of_second_derivatives_not_divided_by_the_dimension():
    a = torch.tensor([[2.0, 0.7], [0.7, 0.5]], dtype=torch.float64)
    method = methods.ScoreMatching(lambda x: ((x @ a) * x).sum(-1) / 2)
    x = torch.randn(5, 2, dtype=torch.float64)
    terms = method.terms(x)
    torch.testing.assert_close(terms["divergence"], torch.full((5,), -2.5, dtype=torch.float64))
    torch.testing.assert_close(terms["score"], (x @ a).square().sum(-1) / 2)


def test_signs_see_the_trace_of_a_diagonal_exactly():
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    energy = lambda x: (scale * x.square()).sum(-1) / 2  # noqa: E731
    terms = methods.SlicedScoreMatching(energy).terms(torch.randn(4, 3, dtype=torch.float64))
    torch.testing.assert_close(terms["divergence"], torch.full((4,), -6.0, dtype=torch.float64))


def test_more_slices_are_averaged_not_summed():
    energy, x = Precision(), torch.randn(6, 2, dtype=torch.float64)
    one, many = (methods.SlicedScoreMatching(energy, slices=k).terms(x) for k in (1, 9))
    torch.testing.assert_close(one, many)


@pytest.mark.parametrize("cls", [methods.ScoreMatching, methods.SlicedScoreMatching])
@pytest.mark.parametrize("shape", [(2,), (1, 3, 3)])
def test_matching_trains_from_its_example_on_points_and_images(cls, shape):
    data = torch.randn(64, *shape)
    method = cls.example(data)
    history = ebm.fit(method, data, steps=3, batch_size=16, seed=0, progress=False)
    assert history.names == ["score", "divergence"]
    assert method.energy(data).shape == (64,)
