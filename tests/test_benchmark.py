"""Benchmarks: the harness, and that each table measures what it says."""

import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from ebm import benchmark, recipe
from ebm.benchmark import embeddings, terms, transfer, views
from ebm.benchmark.memory import peak

MEGABYTE = 2**18
"""Numbers of float32."""


@dataclass(frozen=True)
class Row:
    name: str
    value: int


@pytest.fixture
def table(monkeypatch):
    """A table of four rows that fails at the row `breaks_at`, and counts what it measures."""
    fake = SimpleNamespace(Row=Row, measured=[], breaks_at=None)

    def run(*, quick=False, seeds=1, data="a", done=()):
        known = {row.name: row for row in done}
        for i in range(4 * seeds):
            if i == fake.breaks_at:
                raise KeyboardInterrupt
            name = f"row {i}"
            if name not in known:
                fake.measured.append(i)
            yield known.get(name, Row(name, i))

    fake.run = run
    fake.print_table = lambda rows: sys.stdout.write(f"{[row.value for row in rows]}\n")
    monkeypatch.setattr(benchmark, "_table", lambda name: fake)
    return fake


def test_a_stopped_table_goes_on_where_it_ended(table, tmp_path, capsys):
    out = tmp_path / "new" / "rows.json"
    table.breaks_at = 2
    with pytest.raises(KeyboardInterrupt):
        benchmark.run("terms", out=out)
    assert [row["value"] for row in json.loads(out.read_text())["rows"]] == [0, 1]
    table.breaks_at = None
    benchmark.run("terms", seeds=2, out=out)
    assert table.measured == list(range(8))
    assert capsys.readouterr().out == "[0, 1, 2, 3, 4, 5, 6, 7]\n"
    stored = json.loads(out.read_text())
    assert stored["command"] == "ebm benchmark terms --seeds 2"
    assert [row["value"] for row in stored["rows"]] == list(range(8))


def test_rows_done_before_stay_in_the_file_until_their_turn(table, tmp_path):
    out = tmp_path / "rows.json"
    benchmark.run("terms", out=out)
    stored = json.loads(out.read_text())
    del stored["rows"][0]  # measure this one again
    out.write_text(json.dumps(stored))
    table.breaks_at = 1
    with pytest.raises(KeyboardInterrupt):
        benchmark.run("terms", out=out)
    assert sorted(row["value"] for row in json.loads(out.read_text())["rows"]) == [0, 1, 2, 3]
    table.breaks_at = None
    benchmark.run("terms", out=out)
    assert table.measured == [0, 1, 2, 3, 0]


def test_a_stored_table_is_shown_with_its_command(table, tmp_path, capsys):
    benchmark.run("terms", data="b", out=tmp_path / "rows.json")
    printed = capsys.readouterr().out
    benchmark.show(tmp_path / "rows.json")
    shown = capsys.readouterr().out
    assert shown.startswith("ebm benchmark terms --data b  (torch ")
    assert shown.endswith(printed)


def test_rows_of_other_settings_are_not_mixed(table, tmp_path):
    benchmark.run("terms", data="b", out=tmp_path / "rows.json")
    for options in ({"data": "c"}, {}, {"data": "b", "quick": True}):
        with pytest.raises(ValueError, match=r"out must hold rows of the same .* Choose another"):
            benchmark.run("terms", out=tmp_path / "rows.json", **options)
    benchmark.run("terms", data="b", out=tmp_path / "rows.json")
    assert table.measured == [0, 1, 2, 3]


@pytest.mark.parametrize(("option", "value"), [("seeds", 3), ("data", "digits"), ("preset", "x")])
def test_an_option_without_use_is_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} must be left out for terms, got {value}"):
        benchmark.run("terms", **{option: value})


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match=r"table must be one of .*embeddings.*terms.*, got 'sped'"):
        benchmark.run("sped")


def test_peak_counts_what_is_held_at_once_and_not_what_was():
    before = torch.zeros(8 * MEGABYTE)

    def work():
        for _ in range(3):
            both = torch.zeros(2 * MEGABYTE), torch.zeros(MEGABYTE)
            del both
        return before.sum()

    assert peak(work) == pytest.approx(3, abs=0.01)


def test_peak_counts_gradients():
    x = torch.zeros(4 * MEGABYTE, requires_grad=True)
    assert peak(lambda: x.sum().backward()) == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize("task", terms._tasks(8)[:4], ids=lambda task: f"{task.loss} {task.n}")
def test_the_plain_formula_is_of_the_same_loss(task):
    x, noise = torch.randn(2, 24, 40, dtype=torch.float64)
    y = 0.7 * x + noise
    for first, second in ((x, y), (y[:, :6], x[:, :6])):
        torch.testing.assert_close(
            task.ours(first, second).mean(), task.plain(first, second), rtol=1e-12, atol=0
        )


def test_every_joint_embedding_method_has_its_task():
    families = {"joint embedding", "clustering", "distillation", "redundancy"}
    known = {kind for kind in recipe.all_methods().values() if recipe.family_of(kind) in families}
    assert known == {task.kind for task in embeddings.TASKS.values()} - {embeddings.Supervised}


@pytest.mark.parametrize(("option", "known"), [("data", "digits"), ("preset", "large")])
def test_an_unknown_name_is_refused(option, known):
    with pytest.raises(ValueError, match=f"{option} must be one of .*{known}.*, got 'moons'"):
        next(embeddings.run(**{option: "moons"}))


def test_seeds_come_one_after_the_other_and_pixels_once(monkeypatch):
    def measured(name, seed, *others):
        return embeddings.Row(name, seed, 0.5 + seed / 10, 0.25, 3.0, 2, 0.5, 7.0)

    monkeypatch.setattr(embeddings, "_measured", measured)
    rows = list(embeddings.run(quick=True, seeds=2))
    assert [row.seed for row in rows] == [0] * 19 + [1] * 18
    assert [row.method for row in rows].count(embeddings.PIXELS) == 1
    monkeypatch.setattr(embeddings, "_measured", lambda *_: pytest.fail("measured again"))
    assert list(embeddings.run(quick=True, seeds=2, done=rows)) == rows


def test_the_table_shows_means_and_deviations(capsys):
    rows = [
        embeddings.Row("SimCLR", seed, knn, 0.25, 3.0, 2, 0.5, 7.0)
        for seed, knn in enumerate([0.80, 0.84])
    ]
    embeddings.print_table(rows)
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line == ["SimCLR", "82.0", "±", "2.8", "25.0", "±", "0.0", "3.0", "0.500", "7", "2", "2"]


@pytest.mark.slow
def test_quick_embeddings_learn_digits(tmp_path, capsys):
    benchmark.run("embeddings", quick=True, out=tmp_path / "rows.json")
    printed = capsys.readouterr().out
    rows = [
        embeddings.Row(**row) for row in json.loads((tmp_path / "rows.json").read_text())["rows"]
    ]
    assert [row.method for row in rows] == ["raw pixels", "untrained", *embeddings.TASKS]
    assert all(row.method in printed for row in rows)
    for row in rows:
        assert 0.15 < row.knn <= 1
        assert 0.15 < row.linear <= 1
        assert row.rank >= 1
    for row in rows[2:]:
        assert row.steps == embeddings.PRESETS["quick"].steps
        assert row.seconds > 0
        assert 0.1 < row.megabytes < 1_000
    by_name = {row.method: row for row in rows}
    assert by_name["raw pixels"].knn > 0.9
    assert by_name["supervised"].knn > by_name["untrained"].knn


@pytest.mark.slow
def test_quick_terms_agree_and_save_memory():
    rows = list(terms.run(quick=True))
    terms.print_table(rows)
    for row in rows[:-1]:
        assert row.difference < 1e-4
    assert all(row.memory_ratio < 0.5 for row in rows if row.loss != "NT-Xent")
    assert rows[-1].plain_seconds is None
    assert rows[-1].ours_megabytes < 32


def test_transfer_measures_each_start_at_each_share(monkeypatch, capsys):
    def measured(start, seed, encoder, *others):
        for share in transfer.SHARES:
            yield transfer.Row(start, seed, share, round(share * 1000), 0.5, 0.25 + seed / 2)

    seen = []
    monkeypatch.setattr(transfer, "_measured", measured)
    monkeypatch.setattr(embeddings, "trained", lambda start, *others: seen.append(start))
    rows = list(transfer.run(quick=True, seeds=2))
    assert seen == [start for start in transfer.STARTS if start != transfer.SCRATCH] * 2
    assert len(rows) == 2 * 3 * len(transfer.STARTS)
    monkeypatch.setattr(transfer, "_measured", lambda *_: pytest.fail("measured again"))
    assert list(transfer.run(quick=True, seeds=2, done=rows)) == rows
    transfer.print_table(rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["from", "scratch", *["|", "50.0", "50.0"] * 3, "2"]
    transfer.print_table(rows[:5])  # of a run that was stopped
    assert capsys.readouterr().out.splitlines()[3].split()[-4:] == ["|", "-", "-", "1"]
    with pytest.raises(ValueError, match=r"preset must be one of .*large.*, got 'huge'"):
        next(transfer.run(preset="huge"))


@pytest.mark.slow
def test_labels_of_a_larger_share_help_and_the_encoder_stays(tmp_path):
    rows = list(transfer.run(quick=True))
    assert [row.labels for row in rows[:3]] == [14, 144, 1437]
    for start in transfer.STARTS:
        own = [row for row in rows if row.start == start]
        assert own[0].probe < own[1].probe < own[2].probe
    by_start = {(row.start, row.share): row for row in rows}
    tuned = [by_start[start, 1.0].fine_tuned for start in (transfer.SCRATCH, "SimCLR")]
    assert tuned[1] > tuned[0] + 0.1


def test_views_are_counted(capsys):
    rows = list(views.run(quick=True))
    views.print_table(rows)
    assert [row.recipe for row in rows] == list(views.recipes())
    assert all(row.a_second > row.singly > 0 for row in rows)
    for made_by, count in views.recipes().values():
        made = made_by(torch.rand(3, 3, 32, 32))
        assert (len(made) if isinstance(made, tuple) else 1) == count
    assert "SimCLR, with blur" in capsys.readouterr().out
