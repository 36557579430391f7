"""The landscape over training, as a run keeps it."""

import json
import os

import numpy as np
import pytest
import torch

import ebm
import methods
import toy_data
from ebm import exhibit
from ebm.training import film


def trained(out, steps, *, resume=False, data=None, **options):
    torch.manual_seed(0)
    data = toy_data.two_moons(200) if data is None else data
    method = methods.DenoisingScoreMatching(ebm.energies.MLP(data.shape[1], hidden=(8,)), sigma=0.3)
    ebm.fit(
        method,
        data,
        steps=steps,
        batch_size=50,
        seed=0,
        out=out,
        resume=resume,
        progress=False,
        **options,
    )
    return method


def test_a_run_on_points_keeps_its_landscape(tmp_path):
    method = trained(tmp_path, 7)
    found = film.read(tmp_path / film.FOLDER)
    assert found.steps.tolist() == list(range(8))
    assert found.values.shape == (8, film.RESOLUTION, film.RESOLUTION)
    last = ebm.landscape.grid(method.energy, found.bounds, film.RESOLUTION)
    np.testing.assert_allclose(found.values[-1], last.values, rtol=1e-5)
    assert not np.allclose(found.values[0], found.values[-1])


def test_there_are_at_most_sixty_frames_evenly_spaced(tmp_path, monkeypatch):
    assert len(film.evenly(1_000)) == film.MOST
    assert {0, 1_000} <= film.evenly(1_000)
    monkeypatch.setattr(film, "MOST", 5)
    monkeypatch.setattr(film, "RESOLUTION", 6)
    trained(tmp_path, 8)
    assert film.read(tmp_path / film.FOLDER).steps.tolist() == [0, 2, 4, 6, 8]
    trained(tmp_path, 24, resume=True)
    steps = film.read(tmp_path / film.FOLDER).steps.tolist()
    assert len(steps) <= 5
    assert (steps[0], steps[-1]) == (0, 24)


def test_it_changes_nothing_of_the_training(tmp_path, monkeypatch):
    filmed = trained(tmp_path / "a", 6)
    monkeypatch.setattr(film.Film, "of", classmethod(lambda cls, *_: None))
    plain = trained(tmp_path / "b", 6)
    assert not (tmp_path / "b" / film.FOLDER).exists()
    for a, b in zip(filmed.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_frames_after_the_checkpoint_go_when_a_run_goes_on(tmp_path):
    trained(tmp_path, 4, save_every=2)
    (tmp_path / "checkpoints" / "step-000000004.pt").unlink()
    stray = tmp_path / film.FOLDER / "step-000000099.npz"
    stray.write_bytes((tmp_path / film.FOLDER / "step-000000004.npz").read_bytes())
    trained(tmp_path, 4, resume=True)
    assert film.read(tmp_path / film.FOLDER).steps.tolist() == [0, 1, 2, 3, 4]


def test_frames_that_take_too_long_are_left_out_except_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "GRACE", 0.0)
    monkeypatch.setattr(film, "SHARE", 0.0)
    trained(tmp_path, 5)
    assert film.read(tmp_path / film.FOLDER).steps.tolist() == [0, 5]


def test_sweeping_and_pair_methods_have_a_film_too(tmp_path):
    moons = toy_data.two_moons(200)
    ebm.fit(methods.KMeans(4), moons, out=tmp_path / "a", seed=0, progress=False)
    assert len(film.read(tmp_path / "a" / film.FOLDER).steps) > 1
    data, views = methods.SimCLR.example_inputs(moons)
    method = methods.SimCLR.example(moons)
    ebm.fit(method, data, steps=2, views=views, out=tmp_path / "b", seed=0, progress=False)
    found = film.read(tmp_path / "b" / film.FOLDER)
    expected = ebm.as_energy(method.energy).given(moons[:1])
    grid = ebm.landscape.grid(expected, found.bounds, film.RESOLUTION)
    np.testing.assert_allclose(found.values[-1], grid.values, rtol=1e-4, atol=1e-5)


def test_other_data_have_no_film(tmp_path):
    trained(tmp_path, 2, data=torch.randn(100, 3))
    assert not (tmp_path / film.FOLDER).exists()
    assert film.read(tmp_path / film.FOLDER) is None


def test_a_damaged_frame_is_refused_and_nothing_in_it_is_executed(tmp_path):
    folder = tmp_path / film.FOLDER
    folder.mkdir()

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    pickled = np.array([Trap()], dtype=object)
    np.savez(folder / "step-000000001.npz", values=pickled, bounds=pickled, high=pickled)
    with pytest.raises(ValueError, match="frame must be one that a run wrote"):
        film.read(folder)
    assert not (tmp_path / "sprung").exists()


# What the command line is asked to look at


@pytest.fixture
def run_folder(tmp_path):
    from ebm.recipe import Recipe
    from ebm.training.run import Run

    folder = tmp_path / "runs" / "a"
    recipe = Recipe("denoising-score-matching", "two-moons")
    Run(folder, resume=False).describe(recipe=recipe.write())
    method, data, _ = recipe.build()
    ebm.fit(method, data, steps=4, save_every=2, seed=0, out=folder, progress=False)
    return folder


def test_a_run_and_its_checkpoints_are_found(run_folder):
    whole = exhibit.find(str(run_folder))
    assert whole.film.steps.tolist() == [0, 1, 2, 3, 4]
    earlier = exhibit.find(str(run_folder / "checkpoints" / "step-000000002.pt"))
    assert earlier.film is None
    x = torch.randn(5, 2)
    assert not torch.allclose(whole.energy(x), earlier.energy(x))
    grid = ebm.landscape.grid(earlier.energy, whole.film.bounds, film.RESOLUTION)
    np.testing.assert_allclose(whole.film.values[2], grid.values, rtol=1e-5)


def test_a_run_is_explored_with_its_film_and_beside_another(run_folder):
    one = exhibit.find(str(run_folder))
    view = exhibit.explore(one)
    (name,) = view.terms
    assert view.films[name].values.shape[0] == 5
    assert view.points is not None
    both = exhibit.explore(one, exhibit.find(str(run_folder / "checkpoints/step-000000002.pt")))
    assert len(both.terms) == 2
    assert list(both.films) == list(both.terms)[:1]


def test_images_are_explored_on_a_plane_with_chains(tmp_path):
    digits = toy_data.digits().images[:8]
    energy = ebm.energies.MLP(64)
    shown = exhibit.Exhibit("net", energy, digits, None, tmp_path).through((3, 5, 7))
    view = exhibit.explore(shown)
    np.testing.assert_allclose(view.plane.corners, digits[[3, 5, 7]].double().numpy())
    assert view.chain.energies.shape == (80, 4)
    size = len(json.dumps(view.page()))
    assert size < 300_000
