"""Landscapes: arrays against closed forms, refusals with their cures, drawings as smoke."""

import copy
import dataclasses
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ebm
from ebm import landscape
from ebm.landscape import canvas, palette, scale
from ebm.landscape.bounds import bounds_of

BOX = ((-2.0, 1.0), (-1.0, 3.0))


def skewed(x):
    """E = (x - 1)^2 + 3 (y + 2)^2 + x y: no symmetry hides an exchanged axis."""
    return (x[:, 0] - 1).square() + 3 * (x[:, 1] + 2).square() + x[:, 0] * x[:, 1]


def double_well(x):
    return (x[:, 0].square() - 1).square() + 0.2 * x[:, 0] + (x[:, 1] - 0.5).square()


class Moody(ebm.Energy):
    """Raises, or records the mode that it is called in."""

    def __init__(self, *, fails=False):
        super().__init__()
        self.inner = torch.nn.Linear(2, 1)
        self.inner.eval()
        self.fails, self.seen, self.grad = fails, [], []

    def forward(self, x):
        self.seen.append((self.training, self.inner.training))
        self.grad.append(torch.is_grad_enabled())
        if self.fails and len(x) > 2:
            raise RuntimeError("broken")
        return self.inner(x).squeeze(-1)


# Grids: exact values


def test_a_grid_holds_the_energy_of_each_of_its_points():
    grid = landscape.grid(skewed, BOX, (7, 5))
    assert grid.x.tolist() == np.linspace(-2, 1, 7).tolist()
    assert grid.y.tolist() == np.linspace(-1, 3, 5).tolist()
    assert grid.values.shape == (5, 7)
    x, y = np.meshgrid(grid.x, grid.y)
    exact = (x - 1) ** 2 + 3 * (y + 2) ** 2 + x * y
    np.testing.assert_allclose(grid.values, exact, atol=32 * np.finfo(np.float32).eps * 100)


def test_a_quadratic_is_exact():
    grid = landscape.grid(ebm.energies.Quadratic(), (-2, 2), 5)
    axis = np.arange(-2.0, 3.0)
    assert grid.values.tolist() == ((axis[:, None] ** 2 + axis**2) / 2).tolist()
    assert (grid.minimum, grid.maximum, grid.lowest, grid.masked) == (0.0, 4.0, (0.0, 0.0), 0)


def test_the_minima_of_a_double_well_are_found():
    # dE/dx = 4 x^3 - 4 x + 0.2 = 0: the lower well at x = -1.0241, the higher at 0.9740.
    roots = np.sort(np.roots([4, 0, -4, 0.2]).real)
    grid = landscape.grid(double_well, (-2, 2), 401)
    assert grid.lowest == pytest.approx((roots[0], 0.5), abs=0.01)
    right = dataclasses.replace(grid, x=grid.x[200:], values=grid.values[:, 200:])
    assert right.lowest == pytest.approx((roots[2], 0.5), abs=0.01)
    assert grid.minimum == pytest.approx((roots[0] ** 2 - 1) ** 2 + 0.2 * roots[0], abs=1e-3)


@settings(max_examples=15)
@given(batch_size=st.integers(1, 90), seed=st.integers(0, 100))
def test_a_grid_does_not_depend_on_its_batches(batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    energy = ebm.energies.MLP(2, hidden=(8,))
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    whole = landscape.grid(energy, BOX, (9, 8))
    parts = landscape.grid(energy, BOX, (9, 8), batch_size=batch_size)
    tolerance = 32 * np.finfo(np.float32).eps * np.abs(whole.values).max()
    np.testing.assert_allclose(parts.values, whole.values, rtol=0, atol=tolerance)


def test_bounds_come_from_the_data_with_room_around_them():
    data = torch.tensor([[0.0, 10.0], [2.0, 11.0]])
    (left, right), (bottom, top) = landscape.grid(skewed, data=data, resolution=3).bounds
    assert left < 0
    assert right > 2
    assert bottom < 10
    assert top > 11
    assert left == pytest.approx(2 - right)
    assert 10 - bottom == pytest.approx(-left)  # the same room on every side
    assert landscape.grid(skewed, resolution=3).bounds == ((-3, 3), (-3, 3))


def test_bounds_may_be_written_in_three_ways():
    assert bounds_of((-1, 2)) == ((-1, 2), (-1, 2))
    assert bounds_of(((-1, 2), (0, 3))) == bounds_of([-1, 2, 0, 3]) == ((-1, 2), (0, 3))
    assert bounds_of(torch.tensor([-1.0, 2.0])) == ((-1, 2), (-1, 2))
    with pytest.raises(ValueError, match=r"bounds must be \(low, high\).*Pass bounds=\(-3, 3\)"):
        bounds_of((2, 1))
    with pytest.raises(ValueError, match="bounds must be"):
        bounds_of((0, float("nan")))
    with pytest.raises(ValueError, match="bounds must be"):
        bounds_of((0, 1, 2))


def test_a_grid_follows_the_dtype_of_the_parameters():
    energy = ebm.energies.MLP(2).double()
    data = torch.randn(10, 2)
    assert landscape.grid(energy, resolution=3, data=data).values.dtype == np.float64
    assert landscape.grid(energy.bfloat16(), resolution=3).values.dtype == np.float32
    assert landscape.grid(skewed, resolution=3, data=data.double()).values.dtype == np.float64


def test_what_is_not_finite_is_masked_and_counted():
    def energy(x):
        inside = torch.where(x[:, 0] > 0.9, torch.inf, x.square().sum(-1))
        return torch.where(x[:, 0] < -0.9, torch.nan, inside)

    grid = landscape.grid(energy, (-1, 1), 5)
    assert grid.masked == 10
    assert np.isnan(grid.values).sum() == 10
    assert grid.minimum == 0
    assert np.isfinite([grid.low, grid.high]).all()
    caption = landscape.draw(grid).get_xlabel()
    assert "10 of 25 not finite" in caption


def test_an_energy_that_is_nowhere_finite_can_still_be_drawn():
    grid = landscape.grid(lambda x: x[:, 0] * torch.nan, resolution=4)
    assert np.isnan(grid.minimum)
    assert "no energy is finite" in landscape.draw(grid).get_xlabel()


def test_given_is_held_fixed_for_every_point():
    def pair(x, y):
        return (x - y).square().sum(-1)

    point = torch.tensor([[1.0, -1.0]])
    direct = landscape.grid(pair, (-1, 1), 3, given=(point,))
    bound = landscape.grid(ebm.as_energy(pair).given(point), (-1, 1), 3)
    assert direct.lowest == bound.lowest == (1, -1)
    assert direct.values.tolist() == bound.values.tolist()


# Grids: modes and memory


@pytest.mark.parametrize("fails", [False, True])
def test_modes_are_eval_inside_and_restored_after(fails):
    energy = Moody(fails=fails)
    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            landscape.grid(energy, resolution=3)
    else:
        landscape.grid(energy, resolution=3)
    assert set(energy.seen) == {(False, False)}
    assert set(energy.grad) == {False}
    assert energy.training
    assert not energy.inner.training
    assert all(parameter.requires_grad for parameter in energy.parameters())
    assert torch.is_grad_enabled()


def test_a_bound_method_runs_its_owner_in_eval_mode():
    class Model(torch.nn.Module):
        def energy(self, x):
            return x[:, 0] + float(self.training)

    model = Model()
    assert landscape.grid(model.energy, (0, 1), 2).minimum == 0
    assert model.training


def test_points_never_exist_all_at_once():
    sizes = []

    def energy(x):
        sizes.append(len(x))
        return x[:, 0]

    landscape.grid(energy, resolution=(50, 40), batch_size=300)
    assert max(sizes) == 300
    assert sum(sizes) == 2_000 + 2  # and the probe for the shape


@pytest.mark.slow
def test_ten_million_points_stay_within_the_stated_memory():
    code = """
import resource, torch, ebm
torch.set_num_threads(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
grid = ebm.landscape.grid(ebm.energies.Quadratic(), resolution=(4_000, 2_500))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) / 1024, grid.values.nbytes / 1e6)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, energies = map(float, out.stdout.split())
    assert energies == 40
    assert grown < 160  # MB: the energies, masks and a copy of a tenth; the points are 80


@pytest.mark.slow
def test_a_grid_is_twenty_times_faster_than_a_loop():
    energy = ebm.energies.MLP(2)
    landscape.grid(energy, resolution=50)
    batched = []
    for _ in range(3):
        start = time.perf_counter()
        grid = landscape.grid(energy, resolution=200)
        batched.append(time.perf_counter() - start)
    points = [torch.tensor([[x, grid.y[0]]], dtype=torch.float32) for x in grid.x]
    start = time.perf_counter()
    with torch.no_grad():
        row = [energy(point).item() for point in points]
    looped = 200 * (time.perf_counter() - start)
    np.testing.assert_allclose(grid.values[0], row, atol=1e-5)
    assert looped / min(batched) > 20


@pytest.mark.gpu
def test_landscapes_are_computed_where_the_energy_lives():
    energy = ebm.energies.MLP(2).cuda()
    here = copy.deepcopy(energy).cpu()
    data = torch.randn(30, 2)
    for x in (data, data.cuda()):
        grid, exact = (landscape.grid(e, resolution=9, data=x) for e in (energy, here))
        np.testing.assert_allclose(grid.values, exact.values, atol=1e-4)
        plane, exact = (landscape.plane(e, *x[:3], resolution=9, data=x) for e in (energy, here))
        np.testing.assert_allclose(plane.values, exact.values, atol=1e-4)
        line, exact = (landscape.profile(e, x[0], x[1]) for e in (energy, here))
        np.testing.assert_allclose(line.values, exact.values, atol=1e-4)
        field, exact = (landscape.field(e, resolution=5, data=x) for e in (energy, here))
        np.testing.assert_allclose(field.scores, exact.scores, atol=1e-4)


# Refusals


def test_an_energy_of_images_is_answered_with_the_planes_that_are_possible():
    with pytest.raises(
        ValueError,
        match=r"shape \(batch, 2\), got an energy of 784 numbers.*"
        r"ebm\.landscape\.plane\(energy, a, b, c\).*ebm\.landscape\.profile\(energy, a, b\)",
    ):
        landscape.grid(ebm.energies.MLP(784))
    with pytest.raises(ValueError, match=r"data must have shape \(n, 2\), got \(9, 784\).*plane"):
        landscape.grid(ebm.energies.MLP(784), data=torch.zeros(9, 784))


@pytest.mark.parametrize("view", [landscape.grid, landscape.field])
def test_a_wrong_shape_is_refused_with_the_cure(view):
    with pytest.raises(ValueError, match=r"got \(2, 1\)|got \(\d+, 1\).*squeeze"):
        view(lambda x: x[:, :1], resolution=3)
    with pytest.raises(ValueError, match=r"Remove \.mean\(\)"):
        view(lambda x: x.mean(), resolution=3)


def test_an_energy_of_the_whole_batch_is_refused():
    class Spread(ebm.Energy):
        reach = ebm.Reach.STATISTICS

        def forward(self, x):
            return x.var(0).sum()

    for view in (landscape.grid, landscape.field, landscape.show):
        with pytest.raises(ValueError, match="its own example alone for a landscape"):
            view(ebm.energies.Quadratic() + Spread())


def test_a_pair_energy_without_its_second_input_is_refused_with_the_cure():
    class Distance(ebm.Energy):
        def forward(self, x, y):
            return (x - y).square().sum(-1)

    for view in (landscape.grid, landscape.show):
        with pytest.raises(ValueError, match=r"energy must take one tensor.*\.given\(y\)"):
            view(Distance())
    with pytest.raises(ValueError, match=r"given must have one row, got shape \(4, 2\)"):
        landscape.grid(Distance(), given=(torch.zeros(4, 2),))


def test_data_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="data must be finite, got 1 numbers"):
        landscape.grid(skewed, data=torch.tensor([[0.0, torch.nan]]))
    with pytest.raises(ValueError, match="at least one example"):
        landscape.grid(skewed, data=torch.zeros(0, 2))
    with pytest.raises(TypeError, match="data must be a tensor or an array, got str"):
        landscape.show(skewed, "two_moons")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 1}, "resolution must be a whole number of at least 2"),
        ({"resolution": (3, 0)}, "resolution must be a whole number of at least 2, got"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_wrong_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        landscape.grid(skewed, **options)


def test_an_energy_that_is_finite_nowhere_is_not_shown():
    with pytest.raises(ValueError, match=r"finite somewhere.*everywhere\. Choose other bounds"):
        landscape.show(lambda x: x[:, 0] * torch.nan, resolution=4)


def test_what_is_not_an_energy_is_refused():
    with pytest.raises(TypeError, match=r"Write Quadratic\(\.\.\.\)"):
        landscape.show(ebm.energies.Quadratic)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file/a.png", r"path must be a file that can be written, got .*a\.png \("),
        ("a.xyz", r"path must end as a picture's name does.* such as a\.png"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_before_it_is_computed(tmp_path, path, message):
    def never(x):
        raise AssertionError("computed")

    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=message):
        landscape.show(never, path=tmp_path / path)


# The color scale


def test_a_few_huge_energies_do_not_flatten_the_basin():
    values = np.concatenate([np.linspace(0, 10, 1000), [1e12]])
    low, high = scale.color_range(values)
    assert low == 0
    assert 5 < high < 11
    low, high = scale.color_range(values, energies=np.linspace(0, 0.5, 100))
    assert low == 0
    assert 1 < high < 5


def test_a_hole_lower_than_the_data_gets_the_dark_end():
    values = np.linspace(-3, 30, 1000)
    low, _ = scale.color_range(values, energies=np.linspace(0, 2, 100))
    assert low == -3


@pytest.mark.parametrize("values", [np.zeros(9), np.full(9, 1e9), np.full(9, np.nan)])
def test_a_flat_energy_has_a_scale_and_a_picture(values):
    low, high = scale.color_range(values, energies=np.zeros(4) if values[0] == 0 else None)
    assert low < high
    landscape.draw(landscape.grid(lambda x: x[:, 0] * 0 + float(values[0]), resolution=4))


@given(
    low=st.floats(-1e6, 1e6),
    span=st.floats(1e-3, 1e6),
    color=st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_colors_and_energies_are_inverse(low, span, color):
    energies = scale.expanded(color, low, low + span)
    tolerance = 1e-9 + 32 * np.finfo(np.float64).eps * (abs(low) / span) * scale.COMPRESSION
    np.testing.assert_allclose(scale.compressed(energies, low, low + span), color, atol=tolerance)


def test_colors_end_where_the_range_ends():
    assert scale.compressed([-5, 0, 2, 9], 0, 2).tolist() == [0, 0, 1, 1]


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-2, 1e6))
def test_ticks_are_in_range_and_rise(low, span):
    found = scale.ticks(low, low + span)
    assert all(low <= tick <= low + span for tick in found)
    assert found == sorted(set(found))


def test_ticks_are_round():
    assert scale.ticks(0.0, 100.0) == [0.0, 5.0, 10.0, 20.0, 60.0, 100.0]
    assert scale.ticks(0.0164, 900.0)[0] == 10  # the dark end has one too
    assert scale.labels([-1.0, -0.5, 2.0, 10_000.0]) == ["-1", "-0.5", "2", "10000"]
    assert scale.labels([1e6, 1e6 + 0.5]) == ["1000000", "1000000.5"]


def test_the_field_grows_lighter_in_even_steps():
    colors = palette.field()(np.linspace(0, 1, 64))[:, :3]
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(
        luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance
    )  # CIE L*
    steps = np.diff(lightness)
    assert lightness[0] < 20
    assert lightness[-1] > 94
    assert (steps > 0).all()
    assert steps.max() < 2.5 * steps.min()


# Planes


def triangle(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, *shape, generator=generator, dtype=torch.float64) * 3


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 4, 4), (3, 2, 2, 2)])
def test_the_three_examples_map_back_to_themselves(shape):
    corners = triangle(*shape)
    plane = landscape.plane(lambda x: x.flatten(1).sum(-1), *corners, resolution=4)
    tolerance = 32 * np.finfo(np.float64).eps * np.abs(corners.numpy()).max() * 10
    for corner, position in zip(corners, plane.positions, strict=True):
        np.testing.assert_allclose(plane.point(*position), corner, atol=tolerance)
    np.testing.assert_allclose(plane.locate(corners), plane.positions, atol=tolerance)
    gram = plane.basis.reshape(2, -1) @ plane.basis.reshape(2, -1).T
    np.testing.assert_allclose(gram, np.eye(2), atol=1e-14)
    apart = np.linalg.norm(plane.positions - plane.positions[[1, 2, 0]], axis=1)
    np.testing.assert_allclose(apart, (corners - corners[[1, 2, 0]]).flatten(1).norm(dim=1))
    assert plane.positions[0].tolist() == [0, 0]
    assert plane.positions[2, 1] > 0


def test_a_plane_holds_the_energy_of_its_points():
    def energy(x):
        return (x.flatten(1) - 0.3).pow(3).sum(-1)

    plane = landscape.plane(energy, *triangle(1, 3, 3), resolution=(6, 5), batch_size=7)
    assert plane.values.shape == (5, 6)
    for j, i in ((0, 0), (4, 1), (2, 5)):
        x = torch.as_tensor(plane.point(plane.x[i], plane.y[j]))[None]
        assert plane.values[j, i] == pytest.approx(energy(x).item(), rel=1e-10)


def test_a_plane_keeps_room_around_the_three():
    plane = landscape.plane(ebm.energies.Quadratic(), *triangle(4), margin=0.5, resolution=3)
    extent = np.ptp(plane.positions, axis=0).max()
    assert plane.bounds[0][0] == pytest.approx(plane.positions[:, 0].min() - 0.5 * extent)
    assert plane.bounds[1][1] == pytest.approx(plane.positions[:, 1].max() + 0.5 * extent)
    np.testing.assert_array_equal(plane.corners, triangle(4))


def test_examples_on_a_line_have_no_plane():
    a, b = torch.zeros(4), torch.ones(4)
    with pytest.raises(ValueError, match=r"must not lie on one line.*profile"):
        landscape.plane(skewed, a, b, 2 * b)
    with pytest.raises(ValueError, match="must not lie on one line"):
        landscape.plane(skewed, a, a, b)
    with pytest.raises(ValueError, match=r"one shape, got \(4,\) and \(3,\)"):
        landscape.plane(skewed, a, b, torch.ones(3))


def test_examples_of_another_shape_have_no_place_in_a_plane():
    plane = landscape.plane(ebm.energies.Quadratic(), *triangle(1, 4, 4), resolution=3)
    with pytest.raises(ValueError, match=r"shape of the corners, \(1, 4, 4\), got \(4, 4\)"):
        plane.locate(torch.zeros(1, 4, 4))


# Profiles


def test_a_profile_is_the_energy_along_the_line():
    a, b, _ = triangle(2, 3)
    energy = ebm.energies.MLP(6).double()
    profile = landscape.profile(energy, a, b, 11, margin=0.5, batch_size=4)
    assert (profile.t[0], profile.t[-1]) == (-0.5, 1.5)
    with torch.no_grad():
        direct = torch.stack([energy((a + t * (b - a))[None])[0] for t in profile.t])
        ends = energy(torch.stack([a, b]))
    np.testing.assert_allclose(profile.values, direct, atol=1e-13)
    np.testing.assert_allclose(profile.end_values, ends, atol=1e-13)
    assert profile.length == pytest.approx((b - a).norm().item())


def test_the_barrier_of_the_double_well_is_found():
    def energy(x):
        return (x.square() - 1).square().sum(-1)

    profile = landscape.profile(energy, torch.tensor([-1.0]), torch.tensor([1.0]), 101)
    assert profile.barrier == pytest.approx(1.0, abs=1e-3)
    inside = landscape.profile(energy, torch.tensor([0.9]), torch.tensor([1.1]))
    assert inside.barrier == 0


def test_a_profile_of_single_numbers_takes_numbers():
    profile = landscape.profile(lambda x: x[:, 0].square(), -1.0, 3.0, 5, margin=0)
    assert profile.values.tolist() == [1, 0, 1, 4, 9]
    assert landscape.draw(profile).get_xlim()[1] > 3  # drawn over x, not over t


def test_a_profile_needs_two_examples():
    with pytest.raises(ValueError, match="a and b must differ"):
        landscape.profile(skewed, torch.ones(2), torch.ones(2))
    with pytest.raises(ValueError, match="one shape"):
        landscape.profile(skewed, torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="points must be"):
        landscape.profile(skewed, torch.ones(2), torch.zeros(2), 1)


# Score fields and chains


def test_a_field_is_the_score_at_its_points():
    field = landscape.field(skewed, BOX, (6, 5), batch_size=7)
    assert field.scores.shape == (5, 6, 2)
    x, y = np.meshgrid(field.x, field.y)
    exact = -np.stack([2 * (x - 1) + y, 6 * (y + 2) + x], -1)
    np.testing.assert_allclose(field.scores, exact, atol=1e-4)
    assert BOX[0][0] < field.x[0]
    assert field.x[-1] < BOX[0][1]


def test_a_field_leaves_modes_and_gradients_alone():
    energy = Moody()
    landscape.field(energy, resolution=3)
    assert set(energy.seen) == {(False, False)}
    assert energy.training
    assert all(p.requires_grad and p.grad is None for p in energy.parameters())


def test_chains_become_paths():
    start = torch.randn(5, 2)
    chain = ebm.samplers.chain(ebm.samplers.Langevin(0.1), ebm.energies.Quadratic(), start, 8)
    paths = landscape.trajectories(chain)
    assert paths.positions.shape == (8, 5, 2)
    np.testing.assert_array_equal(paths.positions, chain.positions.double())
    assert landscape.trajectories(np.zeros((4, 2, 2))).rejected.shape == (0, 2)
    with pytest.raises(ValueError, match=r"shape \(steps, chains, 2\), got \(4, 2\)"):
        landscape.trajectories(np.zeros((4, 2)))


def test_rejected_proposals_are_kept():
    sampler, energy = ebm.samplers.MALA(2.5), ebm.energies.Quadratic()
    chain = ebm.samplers.chain(sampler, energy, torch.randn(20, 2), 10, proposals=True)
    paths = landscape.trajectories(chain)
    assert len(paths.rejected) == int((chain.acceptance == 0).sum()) > 0
    landscape.draw(landscape.grid(energy, resolution=5), trajectories=paths)


# Drawing


def rendered(ax):
    ax.figure.canvas.draw()
    return ax


def test_drawing_a_grid_evaluates_nothing_and_returns_the_axes():
    calls = []

    def energy(x):
        calls.append(len(x))
        return skewed(x)

    grid = landscape.grid(energy, BOX, 9)
    calls.clear()
    data = torch.tensor([[0.0, 0.0], [0.5, 1.0], [100.0, 0.0]])
    ax = rendered(landscape.draw(grid, data=data, samples=data[:2] + 0.1))
    assert not calls
    assert ax.get_aspect() == 1
    assert "1 data outside" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["data", "samples"]
    assert len(ax.collections[-2].get_offsets()) == 2


def test_axes_are_taken_and_given_back():
    ax = canvas.axes()
    assert landscape.draw(landscape.grid(skewed, resolution=4), ax) is ax
    assert landscape.draw_history(ebm.History(), ax) is ax


def test_a_grid_draws_with_its_score_field():
    grid = landscape.grid(skewed, resolution=9)
    ax = rendered(landscape.draw(grid, score=landscape.field(skewed, grid.bounds, 5)))
    assert "|score| from" in ax.get_xlabel()
    rendered(landscape.draw(landscape.field(lambda x: x[:, 0] * 0, resolution=4)))


@pytest.mark.parametrize(
    ("shape", "pictures"), [((1, 8, 8), 3), ((3, 8, 8), 3), ((64,), 3), ((8, 8), 3), ((5,), 0)]
)
def test_a_plane_draws_its_pictures(shape, pictures):
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    plane = landscape.plane(ebm.energies.Quadratic(), *triangle(*shape), resolution=6)
    ax = rendered(landscape.draw(plane))
    boxes = [child for child in ax.get_children() if isinstance(child, AnnotationBbox)]
    assert len(boxes) == 3
    assert sum(isinstance(box.offsetbox, OffsetImage) for box in boxes) == pictures


def test_a_profile_draws_but_has_no_place_for_data():
    profile = landscape.profile(skewed, torch.zeros(2), torch.ones(2))
    assert "barrier" in rendered(landscape.draw(profile)).get_xlabel()
    with pytest.raises(ValueError, match=r"data must have a place.*got a Profile"):
        landscape.draw(profile, data=torch.zeros(3, 2))


def test_a_surface_draws_with_data_and_holes():
    def energy(x):
        return torch.where(x[:, 0] > 2, torch.nan, x.square().sum(-1))

    grid = landscape.grid(energy, resolution=(30, 20))
    ax = rendered(landscape.draw_surface(grid, data=torch.randn(20, 2)))
    assert ax.name == "3d"
    assert landscape.draw_surface(grid, ax) is ax


def test_the_surface_ends_in_a_smooth_rim():
    from ebm.landscape.surface import _trimmed

    x, y = np.meshgrid(np.linspace(-2, 2, 41), np.linspace(-2, 2, 41))
    x, y, height = _trimmed(x, y, x**2 + y**2)
    rim = height == 1
    assert np.nanmax(height) == 1
    radius = np.hypot(x, y)[rim]
    assert np.abs(radius - 1).max() < 0.03  # the cells are 0.1 wide


def history(*rows):
    found = ebm.History()
    for step, row in enumerate(rows):
        found.add(step + 1, {name: float(value) for name, value in row.items()})
    return found


def test_a_history_draws_every_term_with_its_name():
    ax = history(*({"data_energy": k, "negatives": -k} for k in range(200))).draw()
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["data energy", "negatives"]
    assert ax.get_yscale() == "linear"
    rendered(ax)


def test_terms_of_very_different_sizes_get_a_logarithmic_axis():
    ax = history(*({"large": 1e4 + k, "small": 0.1} for k in range(20))).draw()
    assert ax.get_yscale() == "symlog"
    rendered(ax)


def test_terms_that_move_in_turn_leave_no_gaps():
    ax = history({"a": 1.0}, {"b": 2.0}, {"a": 3.0}).draw()
    assert ax.lines[0].get_xydata().tolist() == [[1, 1], [3, 3]]
    assert ax.lines[1].get_xydata().tolist() == [[2, 2]]


def test_smoothing_keeps_constants_ramps_and_ends():
    from ebm.landscape.draw_history import smooth

    ramp = np.arange(50.0)
    np.testing.assert_allclose(smooth(ramp, 7), ramp)
    assert smooth(np.array([0.0, 0, 9, 0, 0]), 3).tolist() == [0, 3, 3, 3, 0]


# One call


def test_show_draws_an_energy_alone():
    class Ring(ebm.Energy):
        def forward(self, x):
            return (x.norm(dim=-1) - 1).square()

    figure = landscape.show(Ring() + 0.1 * ebm.energies.Quadratic(), resolution=20)
    ax = figure.axes[0]
    assert (*ax.get_xlim(), *ax.get_ylim()) == (-3, 3, -3, 3)


def test_show_writes_a_picture(tmp_path):
    path = tmp_path / "new" / "moons.png"
    data = torch.randn(50, 2)
    figure = landscape.show(skewed, data, samples=data, resolution=10, path=path, title="moons")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert figure.axes[0].get_title(loc="left") == "moons"


def test_show_draws_a_plane_through_the_first_three_examples():
    from sklearn.datasets import load_digits

    digits = torch.as_tensor(load_digits().images[:20], dtype=torch.float32)[:, None] / 16
    data = torch.cat([digits[:1], digits])  # the first twice: the next that spans is taken
    figure = landscape.show(ebm.energies.MLP(64), (data, torch.arange(21)), resolution=5)
    figure.canvas.draw()
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(1.8 * float((digits[1] - digits[0]).norm()), rel=0.1)
    with pytest.raises(ValueError, match="three examples that span a plane, got 2"):
        landscape.show(ebm.energies.MLP(64), digits[:2])


def test_show_draws_an_energy_of_single_numbers_as_a_curve():
    figure = landscape.show(lambda x: x.flatten(1).square().sum(-1), torch.randn(30, 1))
    (line,) = figure.axes[0].lines
    x, y = line.get_xydata().T
    np.testing.assert_allclose(y, x**2, atol=1e-4)


def test_figures_off_screen_are_not_kept_by_matplotlib():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    landscape.show(skewed, resolution=5)
    landscape.draw(landscape.grid(skewed, resolution=5))
    assert plt.get_fignums() == before


def test_it_draws_without_a_display_and_imports_matplotlib_only_then():
    code = """
import sys, ebm
assert "matplotlib" not in sys.modules
for _ in range(3): ebm.landscape.show(ebm.energies.Quadratic(), resolution=5)
"""
    environment = {"MPLBACKEND": "TkAgg", "PATH": "/usr/bin:/bin"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    (line,) = done.stderr.strip().splitlines()  # it is said once, with the cure
    assert "figures must have a display to be shown on, got none. Pass path='picture.png'" in line


@pytest.mark.slow
def test_a_notebook_shows_each_picture_once():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    code = "ebm.landscape.show(ebm.energies.Quadratic(), resolution=5)"
    cells = [f"import ebm\nfigure = {code}\nfigure", "figure", f"for _ in range(2): {code}"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120)
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    client.execute(env=environment)
    pictures = [sum("image/png" in o.get("data", {}) for o in c.outputs) for c in notebook.cells]
    assert pictures == [1, 1, 2]
