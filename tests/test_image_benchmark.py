"""The benchmark of a density of pictures: what it measures, keeps, draws and resumes."""

import json
from dataclasses import asdict

import pytest
import torch

from ebm import benchmark
from ebm.benchmark import images


def test_a_run_is_measured_drawn_and_not_measured_again(tmp_path, capsys, monkeypatch):
    tiny = images.Budget(4, 16, (4,), 32, 2, 20, 4)
    monkeypatch.setitem(images.PRESETS, "quick", tiny)
    out = tmp_path / "images.json"
    benchmark.run("images", quick=True, out=out)
    stored = json.loads(out.read_text())
    assert stored["command"] == "ebm benchmark images --quick"
    (row,) = (images.Row(**row) for row in stored["rows"])
    assert row.steps == 4
    assert row.lowest < row.highest
    assert row.long_lowest <= row.long_highest
    assert 0 <= row.inside <= 1
    assert set(row.energies) == {
        "test pictures",
        "digits upside down",
        "uniform noise",
        "long chains",
    }
    assert all(values == sorted(values) for values in row.energies.values())
    assert "Langevin(0.01, temperature=1)" in capsys.readouterr().out
    figure = images.draw([row])
    assert len(figure.axes) == 1 + len(row.pictures)
    (again,) = images.run(quick=True, done=[row])
    assert again is row
    # Stopped after the training: the checkpoints are there, and nothing is trained twice.
    (resumed,) = images.run(quick=True, folder=out.with_suffix(".run"))
    a, b = asdict(resumed), asdict(row)
    assert {k: v for k, v in a.items() if k != "seconds"} == {
        k: v for k, v in b.items() if k != "seconds"
    }


def test_pictures_are_kept_as_they_were():
    x = torch.rand(3, 1, 4, 4)
    kept = images.unpacked(images._packed(x), [3, 1, 4, 4])
    assert abs(kept - x.numpy()).max() < 0.51 / 255


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="data must be one of fashion-mnist, mnist, digits, got"):
        list(images.run(data="cats"))
    with pytest.raises(ValueError, match="preset must be one of quick, small, large, got 'huge'"):
        list(images.run(preset="huge"))
