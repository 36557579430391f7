"""The stored table of micro-batches, and a small run of it."""

import json
from pathlib import Path

from ebm import benchmark
from ebm.benchmark import micro_batches

STORED = Path(__file__).parents[1] / "docs" / "benchmarks" / "micro_batches.json"


def by_way(rows):
    small, large, pieces, recomputed = rows
    assert (small.way, large.way, recomputed.way) == ("plain", "plain", "layers recomputed")
    assert pieces.way == f"in pieces of {small.batch}"
    return small, large, pieces, recomputed


def test_the_stored_table_holds_what_it_promises():
    rows = [micro_batches.Row(**row) for row in json.loads(STORED.read_text())["rows"]]
    small, large, pieces, recomputed = by_way(rows)
    assert (small.batch, large.batch, pieces.batch) == (256, 4096, 4096)
    assert large.megabytes > 10 * small.megabytes
    assert pieces.megabytes < 1.25 * small.megabytes
    assert recomputed.megabytes < large.megabytes / 2
    for row in (pieces, recomputed):
        assert row.difference is not None
        assert row.difference < 1e-4


def test_a_small_run_prints_the_table(capsys):
    benchmark.run("micro_batches", quick=True)
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == [
        "step",
        "batch",
        "peak",
        "MB",
        "seconds",
        "difference",
    ]
    assert "in pieces of 16" in printed
