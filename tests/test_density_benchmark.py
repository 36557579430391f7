"""The density benchmark: one budget for all, and rows that can be written."""

import json
from dataclasses import asdict

import pytest
import torch

import methods
import toy_data
from ebm.benchmark import density


@pytest.mark.parametrize(
    "cls",
    [
        methods.ContrastiveDivergence,
        methods.NoiseContrastiveEstimation,
        methods.DenoisingScoreMatching,
        methods.Adversarial,
    ],
)
def test_the_batch_is_as_large_as_the_budget_of_a_step_allows(cls):
    data = toy_data.two_moons(5_000)
    method = cls.example(data)
    batch_size = density._batch_size(method, data, 4_000)
    assert density._evaluations(method, data, batch_size) == pytest.approx(4_000, rel=0.05)


def test_a_row_says_what_was_measured_and_the_oracle_comes_first(capsys):
    problem = density._labeled(4)
    problem = type(problem)(**{**vars(problem), "evaluations": 3_500})
    rows = list(density.measure([problem], seeds=2))
    assert [row.method for row in rows] == ["MaximumLikelihood", "JointEnergy"]
    assert rows[0].gap == 0
    assert rows[1].gap == rows[1].kl - rows[0].kl
    assert all(0 <= row.total_variation <= 1 and 0 <= row.accuracy <= 1 for row in rows)
    assert all(row.spread > 0 for row in rows)
    json.dumps([asdict(row) for row in rows])
    density.print_table(rows)
    assert "JointEnergy" in capsys.readouterr().out
    assert list(density.measure([problem], seeds=2, done=rows)) == rows  # without training
    figure = density.draw(rows)
    assert len(figure.axes) == 2


def test_a_landscape_is_kept_as_it_was():
    bounds = [(-2.0, 2.0), (-1.0, 1.0)]
    bowl = lambda x: 0.5 * ((x[:, 0] - 1) ** 2 + x[:, 1] ** 2)  # noqa: E731
    kept = density.unpacked(density._packed(bowl, bounds))
    x, y = ([low + (high - low) * (i + 0.5) / 80 for i in range(80)] for low, high in bounds)
    exact = torch.tensor([[0.5 * ((a - 1) ** 2 + b**2) for a in x] for b in y])
    assert abs(torch.from_numpy(kept) - (exact - exact.min())).max() < 0.51 * density.HIGH / 255


def test_the_judge_knows_the_truth():
    for problem in density.problems(quick=True):
        if problem.name == "labeled_gaussians":
            truth = lambda x: -toy_data.labeled_gaussians.log_prob(x)  # noqa: E731
        elif problem.name in ("two_moons", "eight_gaussians"):
            source = getattr(toy_data, problem.name)
            truth = lambda x, source=source: -source.log_prob(x)  # noqa: E731
        elif problem.name == "ising":
            truth = toy_data.ising.energy
        else:
            continue
        kl, total_variation = problem.judge(truth)
        assert kl == pytest.approx(0, abs=1e-3)
        assert total_variation == pytest.approx(0, abs=1e-2)
    bars = next(p for p in density.problems(quick=True) if p.name == "bars_and_stripes")
    kl, _ = bars.judge(lambda x: 0 * x.sum(-1))
    assert kl == pytest.approx(torch.tensor(2**16 / 30).log().item(), rel=1e-5)
