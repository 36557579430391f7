"""Views of 2-D energies: arrays against closed forms, drawings as smoke."""

import numpy as np
import pytest
import torch

import ebm
from ebm import landscape

# The nine critical points of Himmelblau's function, to the digits usually printed.
SADDLES = [
    [3.385154, 0.073852],
    [0.086678, 2.884255],
    [-3.073026, -0.081353],
    [-0.127961, -1.953715],
]
PASSES = [13.311927, 67.719152, 104.015153, 178.337238]
MAXIMUM = [-0.270845, -0.923039]


def himmelblau():
    return ebm.energies.Himmelblau()


def tilted(x):
    """Wells at the roots of 4 u^3 - 4 u + 0.2, v = 0.5: the left one is lower."""
    return (x[:, 0].square() - 1).square() + 0.2 * x[:, 0] + 2 * (x[:, 1] - 0.5).square()


ROOTS = np.sort(np.roots([4, 0, -4, 0.2]).real)


def height(u):
    return (u**2 - 1) ** 2 + 0.2 * u


def rendered(view, **options):
    ax = landscape.draw(view, **options)
    ax.figure.canvas.draw()
    return ax


# Density


@pytest.mark.parametrize("temperature", [1.0, 0.3, 2.5])
def test_a_density_has_the_exact_normalizer_and_mass_one(temperature):
    # exp(-|x|^2 / 2T) integrates to 2 pi T.
    found = landscape.density(ebm.energies.Quadratic(), (-12, 12), 240, temperature=temperature)
    assert found.log_normalizer == pytest.approx(np.log(2 * np.pi * temperature), abs=1e-6)
    assert found.values.sum() * found.area == pytest.approx(1, abs=1e-12)
    x, y = np.meshgrid(found.x, found.y)
    exact = np.exp(-(x**2 + y**2) / 2 / temperature) / (2 * np.pi * temperature)
    np.testing.assert_allclose(found.values, exact, atol=1e-6)


@pytest.mark.parametrize(
    "target", [ebm.energies.DoubleWell(), ebm.energies.Ring(), ebm.energies.GaussianMixture()]
)
def test_a_density_has_the_normalizer_that_the_target_states(target):
    found = landscape.density(target, (-7, 7), 280)
    assert found.log_normalizer == pytest.approx(float(target.log_normalizer), abs=1e-4)


def test_marginals_of_a_density_are_those_of_a_skewed_gaussian():
    def energy(x):
        return x[:, 0].square() / 8 + (x[:, 1] - 1).square() / 2

    found = landscape.density(energy, ((-14, 14), (-6, 8)), (140, 150))
    first, second = found.marginals
    np.testing.assert_allclose(first, np.exp(-(found.x**2) / 8) / np.sqrt(8 * np.pi), atol=1e-6)
    exact = np.exp(-((found.y - 1) ** 2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(second, exact, atol=1e-6)


def test_a_density_has_no_mass_where_the_energy_is_infinite():
    def half(x):
        return torch.where(x[:, 0] > 0, torch.inf, x.square().sum(-1) / 2)

    found = landscape.density(half, (-8, 8), 100)
    assert found.log_normalizer == pytest.approx(np.log(np.pi), abs=1e-5)
    assert found.masked == 5_000
    assert not found.values[:, 50:].any()
    assert "5,000 of 10,000 not finite" in rendered(found, data=torch.zeros(3, 2)).get_xlabel()
    with pytest.raises(ValueError, match="finite somewhere"):
        landscape.density(lambda x: x[:, 0] * torch.nan)
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        landscape.density(half, temperature=0.0)


# Critical points and basins


def test_the_nine_critical_points_of_himmelblau_are_found():
    found = landscape.critical_points(himmelblau(), (-5, 5))
    assert found.index.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    exact = himmelblau().minima.double().numpy()
    apart = np.linalg.norm(found.minima[:, None] - exact, axis=-1)
    assert sorted(apart.argmin(1).tolist()) == [0, 1, 2, 3]
    assert apart.min(1).max() < 1e-5
    np.testing.assert_allclose(found.saddles, SADDLES, atol=1e-5)
    np.testing.assert_allclose(found.maxima, [MAXIMUM], atol=1e-5)
    np.testing.assert_allclose(found.values[4:8], PASSES, atol=1e-3)
    # At (3, 2): E_xx = 74, E_yy = 34, E_xy = 20.
    at = int(np.linalg.norm(found.positions - [3, 2], axis=1).argmin())
    exact = np.linalg.eigvalsh([[74, 20], [20, 34]])
    np.testing.assert_allclose(found.eigenvalues[at], exact, rtol=1e-3)
    rendered(landscape.grid(himmelblau(), (-5, 5), 20), trajectories=found)


def test_critical_points_of_a_tilted_double_well_have_their_eigenvalues():
    found = landscape.critical_points(tilted, (-2, 2), 50)
    np.testing.assert_allclose(found.minima[:, 0], ROOTS[[0, 2]], atol=1e-5)  # the lower first
    np.testing.assert_allclose(found.saddles, [[ROOTS[1], 0.5]], atol=1e-5)
    np.testing.assert_allclose(found.values, height(ROOTS[[0, 2, 1]]), atol=1e-5)
    curvature = 12 * ROOTS[[0, 2, 1]] ** 2 - 4
    np.testing.assert_allclose(found.eigenvalues[:, 0], np.minimum(curvature, 4), atol=2e-3)


def test_a_valley_has_no_isolated_minimum():
    found = landscape.critical_points(ebm.energies.Ring(), (-3, 3))
    assert found.index.tolist() in ([], [2])  # but for the tip of the cone in the middle
    assert found.degenerate > 10
    nowhere = landscape.critical_points(lambda x: x[:, 0], (-3, 3), 9)
    assert (len(nowhere.positions), nowhere.degenerate) == (0, 0)


def test_points_flow_to_the_minimum_on_their_side():
    # The border is the line through the saddle: the flow of u does not depend on v.
    found = landscape.basins(tilted, ((-2, 2), (-1, 2)), (64, 30))
    assert found.critical.minima[0, 0] < 0
    left = np.broadcast_to(found.grid.x < ROOTS[1], found.labels.shape)
    away = np.abs(found.grid.x - ROOTS[1]) > 0.07  # more than a cell
    assert (found.labels == np.where(left, 0, 1))[:, away].all()
    assert found.shares.sum() == pytest.approx(1)


def test_basins_of_himmelblau_hold_their_own_minimum():
    found = landscape.basins(himmelblau(), (-5, 5), 60)
    for k, point in enumerate(found.critical.minima):
        i, j = np.abs(found.grid.x - point[0]).argmin(), np.abs(found.grid.y - point[1]).argmin()
        assert found.labels[j, i] == k
    assert (found.labels >= 0).all()
    assert "share that flows to a:" in rendered(found).get_xlabel()


def test_a_narrow_curved_valley_leads_to_its_minimum():
    found = landscape.basins(ebm.energies.Rosenbrock(), ((-1.5, 1.5), (-0.5, 1.8)), 40)
    assert len(found.critical.minima) == 1
    np.testing.assert_allclose(found.critical.minima[0], [1, 1], atol=1e-3)
    assert (found.labels == 0).mean() > 0.95


def test_what_flows_out_of_the_box_reaches_no_minimum():
    found = landscape.basins(lambda x: x[:, 0] + x[:, 1].square(), (-1, 1), 12)
    assert (found.labels == -1).all()
    assert "gray, 100%, reaches no minimum" in rendered(found).get_xlabel()


# Paths


def test_the_path_between_the_wells_crosses_the_exact_barrier():
    target = ebm.energies.DoubleWell(barrier=2.5, separation=3.0)
    found = landscape.minimum_energy_path(target, *target.minima)
    assert found.barrier == pytest.approx(2.5, abs=1e-4)
    np.testing.assert_allclose(found.saddle, [0, 0], atol=1e-3)
    assert found.residual < 1e-3


def test_barriers_of_a_tilted_well_differ_by_direction():
    a, _, b = (torch.tensor([u, 0.5]) for u in ROOTS)
    found = landscape.minimum_energy_path(tilted, a, b, via=torch.tensor([0.0, 1.5]))
    low, top, high = height(ROOTS)
    assert found.barrier == pytest.approx(top - low, abs=1e-4)
    assert found.barrier_back == pytest.approx(top - high, abs=1e-4)
    np.testing.assert_allclose(found.saddle, [ROOTS[1], 0.5], atol=2e-3)
    np.testing.assert_allclose(found.positions[:, 1], 0.5, atol=0.02)  # the detour is gone


@pytest.mark.parametrize(("a", "b", "saddle"), [(0, 3, 0), (0, 1, 1), (1, 2, 2), (2, 3, 3)])
def test_paths_of_himmelblau_cross_its_passes(a, b, saddle):
    energy = 0.05 * himmelblau()
    minima = himmelblau().minima
    found = landscape.minimum_energy_path(energy, minima[a], minima[b], 17)
    np.testing.assert_allclose(found.saddle, SADDLES[saddle], atol=1e-3)
    assert found.barrier == pytest.approx(0.05 * PASSES[saddle], rel=1e-4)
    assert found.barrier == pytest.approx(found.barrier_back, abs=1e-4)
    steps = np.diff(found.lengths)
    assert steps.max() < 1.3 * steps.min()


def test_a_path_takes_examples_of_any_shape():
    def energy(x):
        x = x.flatten(1)
        return (x[:, 0].square() - 1).square() + x[:, 1:].square().sum(-1)

    a, b = torch.zeros(2, 1, 2, 2).unbind()
    a[0, 0, 0], b[0, 0, 0] = -1, 1
    found = landscape.minimum_energy_path(energy, a, b, 9)
    assert found.positions.shape == (9, 1, 2, 2)
    assert found.barrier == pytest.approx(1, abs=1e-5)
    assert "pass lies 1 above a" in rendered(found).get_xlabel()


def test_a_path_is_drawn_on_a_grid_and_downhill_it_has_no_barrier():
    found = landscape.minimum_energy_path(
        ebm.energies.Quadratic(), torch.tensor([2.0, 1.0]), torch.zeros(2), 9
    )
    assert found.barrier == 0
    assert found.barrier_back == pytest.approx(2.5)
    rendered(landscape.grid(ebm.energies.Quadratic(), resolution=9), trajectories=found.trace)
    with pytest.raises(ValueError, match="a and b must differ"):
        landscape.minimum_energy_path(tilted, torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="points must be a whole number of at least 3"):
        landscape.minimum_energy_path(tilted, torch.zeros(2), torch.ones(2), 2)


# Temperatures, latents, wells


def wells_of_two():
    rule = ebm.latent.Enumeration(torch.tensor([-1.0, 1.0]))
    return ebm.latent.LatentEnergy(rule, lambda x, z: (x[:, 0] - z).square())


def test_sections_at_several_temperatures_are_the_free_energy():
    heats = (0.0, 0.5, 4.0)
    found = landscape.temperature_sections(
        wells_of_two().free, torch.tensor([-2.0]), torch.tensor([2.0]), heats, points=41, margin=0
    )
    x = np.linspace(-2, 2, 41)
    both = np.stack([(x + 1) ** 2, (x - 1) ** 2])
    np.testing.assert_allclose(found.values[0], both.min(0), atol=1e-5)
    for k in (1, 2):
        exact = -heats[k] * np.log(np.exp(-both / heats[k]).mean(0))
        np.testing.assert_allclose(found.values[k], exact, atol=1e-5)
    ax = rendered(found)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["T = 0", "T = 0.5", "T = 4"]
    with pytest.raises(ValueError, match="temperatures must hold at least one"):
        landscape.temperature_sections(wells_of_two().free, -1.0, 1.0, ())


def test_latent_curves_hold_every_pair_and_mark_the_best():
    x, z = torch.tensor([[0.2], [-0.6], [2.0]]), torch.linspace(-1, 1, 21)
    found = landscape.latent_curves(wells_of_two(), x, z.flip(0), batch_size=7)
    np.testing.assert_allclose(found.z, z)
    np.testing.assert_allclose(found.values, (x - z).square().numpy(), atol=1e-6)
    np.testing.assert_allclose(found.best, [0.2, -0.6, 1.0], atol=1e-6)
    np.testing.assert_allclose(found.lowest, [0, 0, 1], atol=1e-6)
    rendered(found)
    with pytest.raises(ValueError, match=r"z must hold one number each, got shape \(4, 2\)"):
        landscape.latent_curves(wells_of_two(), x, torch.zeros(4, 2))


def ellipse(z):
    return torch.stack([2 * z.cos(), z.sin()], -1)


def test_a_manifold_is_what_the_decoder_makes():
    z = torch.linspace(0, 2 * torch.pi, 181)
    x = torch.tensor([[3.0, 0.0], [0.0, -2.0]])
    found = landscape.latent_manifold(ellipse, z, x)
    np.testing.assert_allclose(found.curve, ellipse(z), atol=1e-6)
    np.testing.assert_allclose(found.reconstructions, [[2, 0], [0, -1]], atol=1e-6)
    np.testing.assert_allclose(found.distances, [1, 1], atol=1e-6)
    inferred = landscape.latent_manifold(ellipse, z, x, infer=lambda x: 0 * x[:, 0])
    np.testing.assert_allclose(inferred.reconstructions, [[2, 0], [2, 0]], atol=1e-6)
    grid = landscape.grid(ebm.energies.Quadratic(), resolution=9)
    assert "1 on average" in rendered(grid, trajectories=found).get_xlabel()
    rendered(landscape.latent_manifold(ellipse, z), data=x)
    with pytest.raises(ValueError, match=r"decode\(z\) must have shape \(n, 2\)"):
        landscape.latent_manifold(lambda z: z, z)


def test_wells_share_points_as_their_energies_say():
    centers = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.0]])
    energies = [lambda x, c=c: (x - c).square().sum(-1) / 2 for c in centers]
    found = landscape.wells(energies, (-2, 2), (9, 7), temperature=0.5)
    assert found.responsibilities.shape == (3, 7, 9)
    np.testing.assert_allclose(found.responsibilities.sum(0), 1)
    x = torch.tensor([found.x[2], found.y[5]])
    each = ((x - centers) ** 2).sum(-1) / 2
    np.testing.assert_allclose(found.responsibilities[:, 5, 2], (-each / 0.5).softmax(0), rtol=1e-5)
    exact = -0.5 * torch.logsumexp(-each / 0.5, 0)
    assert found.values[5, 2] == pytest.approx(float(exact), rel=1e-5)
    hard = landscape.wells(energies, (-2, 2), (9, 7), temperature=0)
    nearest = (np.stack(np.meshgrid(found.x, found.y), -1)[..., None, :] - centers.numpy()) ** 2
    assert (hard.lowest == nearest.sum(-1).argmin(-1)).all()
    assert set(np.unique(hard.responsibilities)) == {0, 1}
    rendered(found, data=centers)
    rendered(hard)
    with pytest.raises(ValueError, match="at least one well"):
        landscape.wells([])


# Densities side by side


def test_a_triptych_shows_what_the_samples_are_far_from():
    generator = torch.Generator().manual_seed(0)
    normal, wide = ebm.energies.Quadratic(), ebm.energies.Quadratic() / 4
    samples = torch.randn(20_000, 2, generator=generator)
    box = (-5, 5)
    found = landscape.triptych(normal, normal, samples, box, 20)
    apart = found.total_variation
    assert apart["true, model"] == 0
    assert apart["model, samples"] < 0.04
    cell = 0.25
    assert found.samples.sum() * cell == pytest.approx(1)
    other = landscape.triptych(samples, wide, samples, box, 20)
    assert other.total_variation["true, samples"] == 0
    # Two Gaussians of variance 1 and 4: |x|^2 < 8 log 4 / 3 where the narrow one is above.
    edge = 8 * np.log(4) / 3
    exact = np.exp(-edge / 8) - np.exp(-edge / 2)
    assert other.total_variation["true, model"] == pytest.approx(exact, abs=0.03)
    outside = landscape.triptych(normal, normal, samples, (-1, 1), 10)
    assert outside.outside == int((samples.abs() > 1).any(1).sum())
    rendered(outside)


def test_a_histogram_counts_each_point_in_its_cell():
    from ebm.landscape.triptych import histogram

    points = torch.tensor([[0.1, 0.1], [1.9, 0.1], [1.9, 3.9], [2.0, 4.0], [5.0, 0.0]])
    found, outside = histogram(points, ((0.0, 2.0), (0.0, 4.0)), 2)
    assert outside == 1
    assert (found * 4 * 2).tolist() == [[1, 1], [0, 2]]


def test_the_divergence_of_two_gaussians_is_exact():
    def model(x):  # mean (1, 0), variance 4 and 1
        return (x[:, 0] - 1).square() / 8 + x[:, 1].square() / 2

    found = landscape.log_ratio(ebm.energies.Quadratic(), model, (-9, 9), 180)
    assert found.kl == pytest.approx(np.log(2) + (1 + 1) / 8 - 1 / 2, abs=1e-4)
    np.testing.assert_allclose(found.contributions.sum(), found.kl)
    at = found.values[90, 120]
    x, y = found.target.x[120], found.target.y[90]
    exact = -((x - 1) ** 2) / 8 - y**2 / 2 - np.log(4 * np.pi) + (x**2 + y**2) / 2
    assert at == pytest.approx(exact + np.log(2 * np.pi), abs=1e-4)
    same = landscape.log_ratio(model, model, (-9, 9), 40)
    assert (same.kl, same.total_variation) == (0, 0)
    rendered(found)
    rendered(same)


# Terms and methods side by side


def test_terms_add_up_to_the_energy():
    energy = ebm.energies.Ring() + 0.5 * ebm.energies.Quadratic()
    found = landscape.breakdown(energy, (-3, 2), (8, 6), batch_size=11)
    assert list(found.terms) == ["ring", "quadratic"]
    whole = landscape.grid(energy, (-3, 2), (8, 6)).values
    np.testing.assert_allclose(found.total, whole, rtol=1e-5)
    half = 0.5 * landscape.grid(ebm.energies.Quadratic(), (-3, 2), (8, 6)).values
    np.testing.assert_allclose(found.terms["quadratic"], half, rtol=1e-6)
    figure = rendered(found).figure
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [t for t in titles if t in ("ring", "quadratic", "sum")] == ["ring", "quadratic", "sum"]
    rendered(landscape.breakdown(energy, data=torch.randn(30, 2), resolution=9))
    single = landscape.breakdown(tilted, resolution=5)
    assert list(single.terms) == ["tilted"]
    rendered(single)


def test_a_term_of_the_batch_has_no_place_in_a_breakdown():
    class Spread(ebm.Energy):
        reach = ebm.Reach.STATISTICS

        def forward(self, x):
            return x.var(0).sum()

    with pytest.raises(ValueError, match="its own example alone for a landscape"):
        landscape.breakdown(ebm.energies.Quadratic() + Spread())


def test_energies_are_compared_on_one_scale():
    low, high = ebm.energies.Quadratic(), 3 * ebm.energies.Quadratic() + (lambda x: 0 * x[:, 0] + 7)
    found = landscape.comparison({"low": low, "high": high}, (-2, 2), 9)
    np.testing.assert_allclose(found.values["high"], 3 * found.values["low"] + 7, rtol=1e-6)
    assert found.high == landscape.grid(high, (-2, 2), 9).high - 7
    figure = rendered(found).figure
    images = [ax.images[0] for ax in figure.axes if ax.images]
    assert {image.norm.vmax for image in images[:2]} == {found.high}
    rendered(landscape.comparison({"a": low}, data=torch.randn(9, 2), resolution=9))
    with pytest.raises(ValueError, match="energies must hold at least one"):
        landscape.comparison({})


def test_views_of_several_panels_fit_into_axes_that_are_given():
    from matplotlib.figure import Figure

    found = landscape.comparison({"a": tilted, "b": himmelblau()}, (-2, 2), 9)
    figure = Figure(layout="constrained")
    first, _ = figure.subplots(1, 2)
    assert landscape.draw(found, first) is first
    assert landscape.draw(found, Figure().add_axes((0, 0, 1, 1))) is not None
    figure.canvas.draw()


@pytest.mark.parametrize("grid", [landscape.grid(tilted, ((-6, 6), (-1, 1)), 20)])
def test_the_color_bar_is_as_tall_as_the_axes(grid):
    ax = rendered(grid)
    bar = ax.child_axes[0]
    assert bar.get_window_extent().height == pytest.approx(ax.get_window_extent().height, rel=1e-3)


# Curl, streamlines, classes


def test_a_gradient_has_no_curl_and_a_rotation_has_twice_its_speed():
    found = landscape.curl(lambda x: ebm.score(himmelblau(), x, create_graph=True), (-4, 4), 9)
    assert found.largest < 1e-3  # of scores of several hundred
    assert np.nanmax(found.lengths) > 250

    def turning(x):
        return torch.stack([-1.5 * x[:, 1], 1.5 * x[:, 0]], 1) - x

    found = landscape.curl(turning, (-1, 2), (7, 5), batch_size=4)
    assert found.values.shape == (5, 7)
    np.testing.assert_allclose(found.values, 3.0, rtol=1e-6)
    np.testing.assert_allclose(found.lengths[0, 0], np.hypot(1.5 + 1, 1.5 - 1), rtol=1e-6)
    rendered(found)
    shear = landscape.curl(lambda x: torch.stack([x[:, 1] ** 2, 0 * x[:, 0]], 1), (-1, 1), 5)
    np.testing.assert_allclose(shear.values, np.repeat(-2 * shear.y[:, None], 5, 1), atol=1e-6)
    rendered(landscape.curl(lambda x: torch.ones_like(x), (-1, 1), 3))


def test_a_field_without_one_vector_per_point_is_refused():
    with pytest.raises(ValueError, match="field must return one vector per point"):
        landscape.curl(lambda x: x[:, 0], (-1, 1), 3)


def test_streamlines_draw_with_holes():
    from matplotlib.figure import Figure

    found = landscape.field(tilted, (-2, 2), 30)
    ax = landscape.draw_streamlines(found)
    ax.figure.canvas.draw()
    assert ax.get_xlim() == (-2, 2)
    holed = landscape.field(lambda x: (x.square().sum(-1) - 1).sqrt(), (-2, 2), 12)
    assert holed.masked
    own = Figure().add_subplot()
    assert landscape.draw_streamlines(holed, own) is own
    own.figure.canvas.draw()


def test_every_class_has_its_own_energy_on_one_scale():
    centers = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.0]])

    def energy(x, y):
        return (x - centers[y]).square().sum(-1)

    found = landscape.class_energies(energy, 3, (-2, 2), 9)
    assert list(found.values) == ["class 0", "class 1", "class 2"]
    expected = landscape.grid(lambda x: energy(x, torch.tensor([1])), (-2, 2), 9)
    np.testing.assert_allclose(found.values["class 1"], expected.values)
    assert list(landscape.class_energies(energy, [2], (-2, 2), 5).values) == ["class 2"]
    rendered(found)
    with pytest.raises(ValueError, match="classes must be"):
        landscape.class_energies(energy, 0)
