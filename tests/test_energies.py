"""Ready-made energies: normalizers by quadrature, samples by moments, minima by gradients."""

import math

import pytest
import torch
from torch import nn

import ebm
from ebm import energies, networks
from ebm.energies import (
    MLP,
    Banana,
    Convolutional,
    DoubleWell,
    Funnel,
    Gaussian,
    GaussianMixture,
    Himmelblau,
    Quadratic,
    Ring,
    Rosenbrock,
)

PLANE = [
    Gaussian(),
    Gaussian([1.0, -2.0], [[1.0, 0.6], [0.6, 0.5]]),
    GaussianMixture(),
    GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.3, [[0.2, -0.1], [-0.1, 0.1]]], [1, 3]),
    DoubleWell(),
    DoubleWell(barrier=0.5, separation=2.0),
    Ring(),
    Ring(radius=0.5, width=1.0),
    Banana(curvature=0.2),
    Banana(curvature=-0.3, length=1.0, width=0.3),
    Funnel(scale=0.8),
    Rosenbrock(a=0.5, b=3.0),
]
OTHER = [
    Gaussian([2.0], 0.3),
    Gaussian([0.0] * 5, torch.diag(torch.arange(1.0, 6.0))),
    GaussianMixture([[-1.0], [2.0]], 0.3, [2, 1]),
    DoubleWell(dim=1),
    DoubleWell(dim=4),
    Ring(dim=1),
    Ring(radius=1.0, width=0.7, dim=3),
    Funnel(scale=1.0, dim=5),
]
KNOWN = PLANE + OTHER
IMAGES = [Convolutional(1, 8, widths=(4, 8)), Convolutional(3, (5, 9), widths=(4,))]
NETWORKS = [MLP(2), MLP(3, hidden=(8,), spectral_norm=True), *IMAGES]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def examples(energy, count=6, seed=0):
    """Points in double precision on which any of these energies can be called."""
    shape = (2,)
    if isinstance(energy, energies.Target):
        shape = (energy.dim,)
    elif isinstance(energy, Convolutional):
        shape = energy.network.shape
    elif isinstance(energy, MLP):
        shape = (energy.network[0].in_features,)
    return torch.randn(count, *shape, generator=generator(seed), dtype=torch.float64)


def z_score(values, expected):
    error = values.std(0) / math.sqrt(len(values))
    return float(((values.mean(0) - expected).abs() / error).max())


@pytest.fixture(scope="module")
def grid():
    side = torch.linspace(-16, 16, 501, dtype=torch.float64)
    return torch.cartesian_prod(side, side), float(side[1] - side[0]) ** 2


@pytest.mark.parametrize("target", PLANE, ids=lambda e: e.name)
def test_normalizer_and_moments_by_quadrature(target, grid):
    points, cell = grid
    mass = target.log_prob(points).exp() * cell
    mean = mass @ points
    covariance = (points - mean).mT * mass @ (points - mean)
    # Parameters are in float32, and a ring near the origin has a kink there.
    assert float(mass.sum()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(mean, target.mean.double(), atol=1e-4)
    assert torch.allclose(covariance, target.covariance.double(), atol=2e-4)


@pytest.mark.parametrize("target", [e for e in OTHER if e.dim == 1], ids=lambda e: e.name)
def test_normalizer_on_the_line(target):
    x = torch.linspace(-20, 20, 20_001, dtype=torch.float64)
    mass = target.log_prob(x[:, None]).exp() * (x[1] - x[0])
    assert float(mass.sum()) == pytest.approx(1, abs=1e-6)
    assert float(mass @ x.square()) == pytest.approx(
        float(target.covariance[0, 0] + target.mean[0] ** 2), rel=1e-5
    )


@pytest.mark.parametrize("target", [e for e in OTHER if e.dim > 1], ids=lambda e: e.name)
def test_normalizer_in_more_dimensions_by_importance(target):
    # A wide Student-like cover: the sample covariance doubled, heavy enough for all of these.
    cover = Gaussian(target.mean, 2 * target.covariance).double()
    x = cover.sample(200_000, generator(3))
    ratio = (target.log_prob(x) - cover.log_prob(x)).exp()
    assert z_score(ratio, 1.0) < 5
    assert float(ratio.std()) < 30


@pytest.mark.parametrize("target", KNOWN, ids=lambda e: e.name)
def test_samples_have_the_moments_and_the_mean_energy(target):
    count = 40_000
    x = target.sample(count, generator(1))
    assert x.shape == (count, target.dim)
    assert z_score(x, target.mean) < 5
    centered = x - target.mean
    products = centered[:, :, None] * centered[:, None, :]
    expected, spread = target.covariance, products.std(0) / math.sqrt(count)
    assert bool(((products.mean(0) - expected).abs() <= 5 * spread + 1e-6).all())
    assert torch.equal(x[:5], target.sample(count, generator(1))[:5])
    assert not torch.equal(x[:5], target.sample(count, generator(2))[:5])


@pytest.mark.parametrize("target", PLANE, ids=lambda e: e.name)
def test_samples_follow_the_density(target, grid):
    # The mean energy is no moment: it tells a right shape from right moments alone.
    points, cell = grid
    mass = target.log_prob(points).exp() * cell
    energy = target(points).nan_to_num(posinf=0.0)
    mean = float((mass * energy.clamp(max=1e6)).sum())
    assert z_score(target(target.sample(40_000, generator(4))), mean) < 5


@pytest.mark.parametrize(
    "energy", [*(e for e in KNOWN if hasattr(e, "minima")), Himmelblau()], ids=lambda e: e.name
)
def test_minima_are_flat_and_lowest_around(energy):
    energy = energy.double()
    bottom = energy.minima
    assert float(ebm.score(energy, bottom).abs().max()) < 1e-4
    nudges = 0.05 * torch.randn(200, bottom.shape[1], generator=generator(), dtype=torch.float64)
    for point in bottom:
        assert bool((energy(point + nudges) > energy(point[None])).all())
    energy.float()


def test_himmelblau_has_four_minima_at_zero():
    energy = Himmelblau().double()
    assert energy.minima.shape == (4, 2)
    assert float(energy(energy.minima).max()) < 1e-10


@pytest.mark.parametrize(
    "energy", [*KNOWN, Quadratic(), Himmelblau(), *NETWORKS], ids=lambda e: e.name
)
def test_scores_by_finite_differences(energy):
    energy = energy.double().eval()
    x = examples(energy, 2).requires_grad_()
    assert torch.autograd.gradcheck(energy, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(energy, (x,), fast_mode=True)
    energy.float()


@pytest.mark.parametrize(
    "energy", [*KNOWN, Quadratic(), Himmelblau(), *NETWORKS], ids=lambda e: e.name
)
def test_one_energy_for_each_example_whatever_the_others(energy):
    energy = energy.double().eval()
    x = examples(energy)
    together = energy(x)
    assert together.shape == (6,)
    assert together.dtype == torch.float64
    assert energy.reach is ebm.Reach.OWN
    alone = torch.cat([energy(x[i : i + 1]) for i in range(6)])
    assert torch.allclose(together, alone, rtol=1e-12, atol=1e-12)
    assert energy(x[:0]).shape == (0,)
    energy.float()
    assert energy(x.float()).dtype == torch.float32


@pytest.mark.parametrize("target", KNOWN, ids=lambda e: e.name)
def test_targets_follow_the_points_and_move(target):
    x = examples(target)
    assert target(x).dtype == torch.float64
    assert target(x.float()).dtype == torch.float32
    assert torch.allclose(target(x.float()).double(), target(x), rtol=1e-4, atol=1e-4)
    assert target.double().sample(3).dtype == torch.float64
    assert target.float().sample(3).dtype == torch.float32
    assert not list(target.parameters())
    assert target.to("meta").mean.device.type == "meta"


def test_lower_bounds_hold_and_are_attained():
    for make in (Gaussian, DoubleWell, Ring, Banana, Funnel, Rosenbrock, Himmelblau, Quadratic):
        energy = make()
        bound = next(t for t in energy.traits if isinstance(t, ebm.traits.LowerBound))
        x = 3 * torch.randn(2_000, 2, generator=generator())
        assert float(energy(x).min()) >= bound.value
        lowest = {Ring: torch.tensor([[2.0, 0.0]]), Quadratic: torch.zeros(1, 2)}
        bottom = lowest[make] if make in lowest else energy.minima  # noqa: SIM401
        assert float(energy(bottom).max()) == pytest.approx(bound.value, abs=1e-6)
        assert bound.attained


def test_formulas_on_numbers_by_hand():
    x = torch.tensor([[1.0, 2.0]])
    assert float(Gaussian([0.0, 1.0], [[2.0, 0.0], [0.0, 0.5]])(x)) == pytest.approx(1.25)
    assert float(DoubleWell(barrier=3.0, separation=4.0)(x)) == pytest.approx(3 * 0.5625 + 2)
    assert float(Ring(radius=1.0, width=0.5)(torch.tensor([[3.0, 4.0]]))) == pytest.approx(32)
    assert float(Banana(curvature=1.0, length=2.0, width=0.5)(x)) == pytest.approx(50.125)
    assert float(Funnel(scale=2.0)(x)) == pytest.approx(0.125 + 2 / math.e + 0.5)
    assert float(Rosenbrock()(x)) == pytest.approx(100)
    assert float(Himmelblau()(x)) == pytest.approx(68)
    assert float(Quadratic()(x)) == pytest.approx(2.5)
    mixture = GaussianMixture([[0.0, 0.0], [1.0, 1.0]], 1.0, [1, 3])(x)
    density = (0.25 * math.exp(-2.5) + 0.75 * math.exp(-0.5)) / (2 * math.pi)
    assert float(mixture) == pytest.approx(-math.log(density))


def test_a_mixture_far_from_every_component_keeps_its_score():
    x = torch.tensor([[300.0, 0.0]])
    score = ebm.score(GaussianMixture(), x)
    assert torch.allclose(score, torch.tensor([[-298 / 0.04, 0.0]]), rtol=1e-3, atol=1e-2)


def test_targets_add_and_train_nothing():
    energy = Ring() + 0.1 * Quadratic()
    assert energy(torch.zeros(3, 2)).tolist() == pytest.approx([32.0] * 3)
    assert ebm.traits.Rotation() in energy.traits


# --- Refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(covariance=[[1.0, 2.0], [2.0, 1.0]]), "symmetric and positive definite"),
        (lambda: Gaussian(covariance=[[1.0, 0.5], [0.0, 1.0]]), "symmetric and positive definite"),
        (lambda: Gaussian(covariance=0.0), "symmetric and positive definite"),
        (lambda: Gaussian([0.0], [[1.0, 0.0], [0.0, 1.0]]), r"shape \(1, 1\), got \(2, 2\)"),
        (lambda: GaussianMixture([0.0, 1.0]), r"means must have shape .*, got \(2,\)"),
        (lambda: GaussianMixture(covariances=[1.0]), "one for each of the 8 means, got 1"),
        (lambda: GaussianMixture(weights=[1.0]), "weights must be 8 positive numbers"),
        (lambda: GaussianMixture([[0.0], [1.0]], weights=[1, -1]), "must be 2 positive numbers"),
        (lambda: Ring(radius=-1.0), "radius must be a positive number, got radius=-1"),
        (lambda: Ring(width=0.0), "width must be a positive number"),
        (lambda: Ring(dim=0), "dim must be a whole number of at least 1"),
        (lambda: DoubleWell(barrier=0.0), "barrier must be a positive number"),
        (lambda: DoubleWell(separation=-1.0), "separation must be a positive number"),
        (lambda: Banana(length=0.0), "length must be a positive number"),
        (lambda: Funnel(dim=1), "dim must be a whole number of at least 2"),
        (lambda: Rosenbrock(b=0.0), "b must be a positive number"),
        (lambda: Convolutional(0, 8), "channels must be a whole number of at least 1"),
        (lambda: Convolutional(1, 0), "size must be a whole number of at least 1"),
    ],
)
def test_numbers_that_make_no_energy_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "target", [Gaussian(), GaussianMixture(), Banana(), Funnel(), Rosenbrock()]
)
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (2,)])
def test_points_of_another_dimension_are_refused(target, shape):
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 2\), got"):
        target(torch.zeros(shape))


@pytest.mark.parametrize("target", [Ring(), DoubleWell()])
def test_shells_and_wells_know_their_density_in_their_dimension_only(target):
    assert target(torch.zeros(4, 3)).shape == (4,)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 2\), got \(4, 3\)"):
        target.log_prob(torch.zeros(4, 3))


def test_images_of_another_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"x must have shape \(batch, 1, 8, 8\), got \(2, 1, 9, 8\)"
    ):
        IMAGES[0](torch.zeros(2, 1, 9, 8))


def test_a_target_without_samples_says_so():
    with pytest.raises(NotImplementedError, match="Target must define sample"):
        energies.Target([0.0], [[1.0]], 0.0).sample(3)


# --- Networks ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 8, 28, (5, 9)])
def test_convolutional_networks_fit_any_size(size):
    network = networks.Convolutional(3, size, 5, widths=(4, 6, 8))
    assert network.features == 5
    assert network(torch.zeros(2, *network.shape)).shape == (2, 5)


def test_convolutional_energies_see_where_things_are():
    energy = Convolutional(1, 8)
    x = torch.zeros(2, 1, 8, 8)
    x[0, 0, 1, 1] = x[1, 0, 6, 6] = 1
    values = energy(x)
    assert float((values[0] - values[1]).detach().abs()) > 1e-6


@pytest.mark.parametrize("make", [Convolutional, networks.Convolutional])
def test_networks_are_smooth_and_without_batch_statistics(make):
    network = make(1, 8) if make is Convolutional else make(1, 8, 3)
    kinds = {type(module) for module in network.modules()}
    assert nn.SiLU in kinds
    assert not kinds & {nn.ReLU, nn.BatchNorm2d, nn.Dropout}


@pytest.mark.parametrize(
    "make",
    [
        lambda s: MLP(6, hidden=(5,), spectral_norm=s),
        lambda s: Convolutional(1, 8, spectral_norm=s),
    ],
)
def test_spectral_norm_bounds_every_layer(make):
    def largest(network):
        network.train()
        for _ in range(60):  # the estimate grows better with every forward in training
            network(examples(network).float())
        layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        return [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in layers]

    normed = make(True)
    assert largest(normed) == pytest.approx([1.0] * len(largest(normed)), rel=1e-2)
    assert max(abs(value - 1) for value in largest(make(False))) > 0.05
