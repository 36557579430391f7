"""The latent benchmark: its tasks agree with scikit-learn, and its table is readable."""

import os

import pytest
import torch

import toy_data
from ebm import latent as rules
from ebm.benchmark import latent, lista


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
    row = latent.Row("k-means", "mean distance", 1.0, 2.0, 10.0, 20.0, 0.5, 0.5, 0.25)
    latent.print_table([row, latent.replace(row, goal=None)])
    printed = capsys.readouterr().out.splitlines()
    assert row.ratio == 0.5
    assert len(printed) == 3
    assert printed[1].split()[1:7] == ["1.00", "2.00", "0.50", "0.25", "10", "20"]
    assert printed[2].split()[4] == "-"
    assert len(printed[0].split()) >= 9


def test_settings_of_the_reference_libraries_are_left_out_and_come_back(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Generic")
    with latent._default_blas():
        assert "OPENBLAS_CORETYPE" not in os.environ
    assert os.environ["OPENBLAS_CORETYPE"] == "Generic"


class TestLISTA:
    @pytest.fixture
    def small(self, monkeypatch):
        digits = toy_data.digits()
        budget = lista.Budget(600, 100, 5, 60, 40, {20: (1, 3)})
        monkeypatch.setattr(lista, "QUICK", budget)
        monkeypatch.setattr(lista, "SIDE", 4)
        monkeypatch.setattr(lista, "pictures", lambda data, split: digits.images.mean(1))
        return budget

    def test_iterates_are_those_of_the_rules(self):
        atoms = torch.nn.functional.normalize(torch.randn(12, 5, dtype=torch.float64), dim=1)
        code, x = rules.SparseCode(atoms), torch.randn(7, 5, dtype=torch.float64)
        for momentum in (False, True):
            found = list(lista._iterates(code, x, 9, momentum=momentum))
            for steps in (1, 2, 5, 9):
                rule = rules.ProximalDescent(
                    steps, accelerate=momentum, restart=False, tolerance=0.0
                )
                torch.testing.assert_close(found[steps - 1], rule.solve(code, x).z)

    def test_counts_the_steps_that_a_network_is_worth(self, small, capsys):
        rows = list(lista.run(quick=True))
        errors = {name: [r.error for r in rows if r.method == name] for name in ("ISTA", "FISTA")}
        assert [len(value) for value in errors.values()] == [120, 40]
        one, three = (row for row in rows if row.method == "LISTA")
        assert three.error < one.error < errors["ISTA"][0]
        for row in (one, three):
            assert row.patches == 600
            for count, curve in ((row.fista, errors["FISTA"]), (row.ista, errors["ISTA"])):
                if count is not None:
                    assert curve[count - 1] <= row.error < curve[count - 2]
        assert one.fista is not None
        assert one.fista > 1
        lista.print_table(rows)
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == 3
        assert printed[1].split()[:2] == ["20", "1"]
        # What is done is not done again.
        assert list(lista.run(quick=True, done=rows)) == rows

    def test_patches_are_of_unit_length_without_their_mean(self, small):
        x = lista.patches("digits", "train", 300)
        assert x.shape == (300, 16)
        torch.testing.assert_close(x.norm(dim=1), torch.ones(300))
        assert x.mean(1).abs().max() < 1e-6

    def test_the_pictures_are_known_by_name(self):
        with pytest.raises(ValueError, match="data must be one of fashion-mnist"):
            lista.pictures("noise", "train")
