"""Views over training: arrays against closed forms, films as smoke."""

import numpy as np
import pytest
import torch

import ebm
from ebm import landscape


class Scaled(ebm.Energy):
    """w |x|^2 + shift."""

    def __init__(self, weight, shift=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))
        self.shift = shift

    def forward(self, x):
        return self.weight * x.square().sum(-1) + self.shift


def test_frames_share_one_scale(tmp_path):
    from PIL import Image

    data = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    found = landscape.frames(
        (Scaled(w, 9.0) for w in (0.5, 1.0, 2.0)), [0, 10, 20], (-2, 2), (9, 7)
    )
    assert found.values.shape == (3, 7, 9)
    np.testing.assert_allclose(found.values[2] - 9, 4 * (found.values[0] - 9), rtol=1e-5)
    last = landscape.grid(Scaled(2.0, 9.0), (-2, 2), (9, 7))
    assert found.high == pytest.approx(last.high - last.minimum)
    figure = landscape.draw(found).figure
    figure.canvas.draw()
    shown = [ax.images[0].norm.vmax for ax in figure.axes if ax.images]
    assert shown[:3] == [found.high] * 3
    few = landscape.frames([Scaled(1.0), Scaled(3.0)], resolution=9, data=data)
    path = few.save(tmp_path / "new" / "film.gif", dpi=40)
    with Image.open(path) as film:
        assert film.n_frames == 2
    with pytest.raises(ValueError, match="energies must be as many as steps, at least one, got 1"):
        landscape.frames([Scaled(1.0)], [1, 2], resolution=3)
    with pytest.raises(ValueError, match="energies must be as many as steps"):
        landscape.frames([])


def test_frames_are_computed_before_the_energy_goes_on():
    energy = Scaled(1.0)

    def training():
        for weight in (1.0, 2.0):
            energy.weight.data.fill_(weight)
            yield energy

    found = landscape.frames(training(), bounds=(-1, 1), resolution=3)
    np.testing.assert_allclose(found.values[1], 2 * found.values[0])


def test_the_gap_is_that_of_the_medians():
    data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    negatives = torch.tensor([[3.0, 0.0], [3.0, 1.0], [0.0, 4.0]])
    found = landscape.energy_gap([Scaled(1.0), Scaled(2.0)], data, negatives, [0, 7])
    np.testing.assert_allclose(found.data[:, 1], [1, 2])
    np.testing.assert_allclose(found.negatives[:, 1], [10, 20])
    np.testing.assert_allclose(found.gap, [9, 18])
    # d/dw of the means: 5/3 - 35/3.
    np.testing.assert_allclose(found.gradients, [10, 10], rtol=1e-6)
    ax = landscape.draw(found)
    ax.figure.canvas.draw()
    plain = landscape.energy_gap([ebm.energies.Quadratic()], data, negatives)
    assert np.isnan(plain.gradients).all()
    landscape.draw(plain).figure.canvas.draw()
    with pytest.raises(ValueError, match="energies must be as many as steps"):
        landscape.energy_gap([], data, negatives)


def test_films_of_temperatures_and_of_chains(tmp_path):
    from PIL import Image

    energy = ebm.energies.DoubleWell()
    colder = [landscape.density(energy, (-2, 2), 20, temperature=t) for t in (2.0, 1.0, 0.5)]
    path = landscape.film(colder, tmp_path / "a" / "t.gif", titles=["hot", "warm", "cold"], dpi=30)
    with Image.open(path) as found:
        assert found.n_frames == 3
    chain = ebm.samplers.chain(ebm.samplers.Langevin(0.05), energy, torch.zeros(5, 2), 4)
    grid = landscape.grid(energy, (-2, 2), 20)
    path = landscape.film([grid] * 4, tmp_path / "c.gif", samples=list(chain.positions), dpi=30)
    with Image.open(path) as found:
        first = np.asarray(found.convert("RGB"))
        found.seek(3)
        assert (np.asarray(found.convert("RGB")) != first).any()


def test_films_that_cannot_be_written_are_refused_with_the_cure(tmp_path, monkeypatch):
    from matplotlib.animation import FFMpegWriter

    grid = landscape.grid(ebm.energies.Quadratic(), (-1, 1), 5)
    with pytest.raises(ValueError, match=r"path must end with \.gif or \.mp4"):
        landscape.film([grid], tmp_path / "a.webm")
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda _: False))
    with pytest.raises(ValueError, match="Install ffmpeg"):
        landscape.frames([ebm.energies.Quadratic()], resolution=5).save(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="landscapes must hold at least one"):
        landscape.film([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="titles must be as many as landscapes, 1, got 2"):
        landscape.film([grid], tmp_path / "a.gif", titles=["a", "b"])
