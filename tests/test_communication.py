"""The bytes that processes exchange: what is counted is what the formulas say."""

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from ebm import benchmark
from ebm.benchmark import communication
from ebm.benchmark.communication import Payload
from ebm.benchmark.traffic import counted

STORED = Path(__file__).parents[1] / "docs" / "benchmarks" / "communication.json"


def assert_exact(rows):
    for row in rows:
        assert (row.gathered, row.reduced) == (row.gathered_expected, row.reduced_expected), row
    assert {row.thing for row in rows if row.gathered + row.reduced == 0} == {"invariance"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_two_processes_exchange_is_what_the_formulas_say():
    rows = list(communication.run(quick=True))
    assert len(rows) == 2 * len(communication.things(wide=False))
    assert_exact(rows)


def test_the_stored_table_is_that_of_the_code(capsys):
    benchmark.show(STORED)
    assert "gradient" in capsys.readouterr().out
    rows = [communication.Row(**row) for row in json.loads(STORED.read_text())["rows"]]
    assert_exact(rows)
    told = {
        thing.name: thing for wide in (False, True) for thing in communication.things(wide=wide)
    }
    for row in rows:
        now = {t.name: t for t in communication.things(wide=row.n < row.dim)}[row.thing]
        assert (str(now.gathered), str(now.reduced)) == (row.gathered_formula, row.reduced_formula)
    assert {row.thing for row in rows} == set(told)


def test_payloads_are_told_in_numbers_and_counted_in_bytes():
    payload = Payload(rows=2, products=1, columns=3, numbers=5, places=1, parameters=1, used=1)
    assert str(payload) == "2 N D + D^2 + 3 D + P + 2 N + tensors + 5"
    assert payload.bytes(10, 4, parameters=100, tensors=2) == 4 * (80 + 16 + 12 + 5 + 102) + 80
    assert str(Payload()) == "0"


def test_collectives_are_counted_by_kind(tmp_path):
    store = f"file://{tmp_path}/store"
    dist.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        x = torch.zeros(6)
        traffic = counted(lambda: (dist.all_reduce(x), dist.all_gather([x.clone()], x), x + 1))
    finally:
        dist.destroy_process_group()
    assert (traffic.gathered, traffic.reduced, traffic.calls) == (24, 24, 2)
    assert traffic.sent(4) == (24 + 2 * 24) * 3 / 4
