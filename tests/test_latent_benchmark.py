"""The latent benchmark: its tasks agree with scikit-learn, and its table is readable."""

import pytest
import torch

from ebm.benchmark import latent


def _values(name, *data):
    task = latent.TASKS[name]
    return [task.judge(getattr(task, side)(*data), *data) for side in ("ours", "theirs")]


@pytest.mark.filterwarnings("ignore:.*onverge.*")  # scikit-learn, on stopping after some passes
def test_both_sides_reach_the_same_value():
    x = latent._blobs(800, 16, 5, torch.float64)
    for name, data, tolerance in (
        ("pca", (x[:, :],), 1e-10),
        ("k_means", (x.float(), x[:20].float()), 1e-5),
        ("mixture", (x, x[:3]), 1e-8),
    ):
        if name == "pca":
            data = (torch.cat([x, x.roll(1, 0)], 1),)
        ours, theirs = _values(name, *data)
        assert abs(ours - theirs) <= tolerance * abs(theirs)


def test_codes_reach_the_gap_that_was_asked_for():
    x = torch.randn(20, 16)
    x = x / x.norm(dim=1, keepdim=True)
    atoms = torch.randn(40, 16)
    atoms = atoms / atoms.norm(dim=1, keepdim=True)
    for name, dtype, gap in (
        ("lasso_single", torch.float32, 1e-4),
        ("lasso_double", torch.float64, 1e-6),
    ):
        ours, theirs = _values(name, x.to(dtype), atoms.to(dtype), torch.tensor(gap))
        assert 0 <= ours <= 1.01 * gap
        assert 0 <= theirs <= 1.01 * gap


def test_the_table_prints_its_rows(capsys):
    row = latent.Row("k-means", "mean distance", 1.0, 2.0, 10.0, 20.0, 0.5, 0.5)
    latent.print_table([row])
    printed = capsys.readouterr().out.splitlines()
    assert row.ratio == 0.5
    assert len(printed) == 2
    assert "0.50" in printed[1]
    assert len(printed[0].split()) >= 9
