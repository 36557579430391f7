"""The speed benchmark: its harness, its tasks without other libraries, and its growth."""

import itertools
import subprocess
import sys
import time

import pytest
import torch

from ebm import benchmark
from ebm.benchmark import speed
from ebm.benchmark.speed import augmentation, inference, losses, sampling, training
from ebm.benchmark.speed.growth import slopes
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, megabytes, race

CPU = torch.device("cpu")
MEGABYTE = 2**18
"""Numbers of float32."""


class Nobody(Peers):
    """No other library, whatever this machine has."""

    def module(self, peer, module):
        self.absent[peer] = "left out"


def row(**changes):
    facts = {
        "group": "terms", "name": "a", "size": "N 2", "device": "cpu", "seconds": 1.0,
        "megabytes": 2.0, "peer_seconds": {"x": 4.0, "y": 2.0}, "peer_megabytes": {"x": 4.0},
        "limit_seconds": 0.5, "difference": None, "time_goal": 0.5, "memory_goal": None,
        "limit_goal": None, "growing": None, "value": None,
    }  # fmt: skip
    return speed.Row(**{**facts, **changes})


def test_a_race_takes_turns_and_returns_medians():
    turns = []

    def contender(name, pause):
        def work():
            turns.append(name)
            time.sleep(pause)

        return work

    found = race({"fast": contender("fast", 0.001), "slow": contender("slow", 0.01)}, 0.03, CPU)
    assert 0.001 < found["fast"] < found["slow"] < 0.1
    assert turns == ["fast", "slow"] + ["fast", "fast", "slow", "slow"] * ((len(turns) - 2) // 4)


def test_what_the_one_before_left_behind_is_not_timed():
    before = []

    def contender(name):
        def work():
            if before[-1:] != [name]:  # as where its memory went back to the system
                time.sleep(0.02)
            before.append(name)

        return work

    found = race({"one": contender("one"), "other": contender("other")}, 0.1, CPU)
    assert max(found.values()) < 0.01


def test_a_library_that_computes_something_else_is_no_peer():
    one, zero = (lambda value=value: torch.tensor(value) for value in (1.0, 0.0))
    facts = {"group": "terms", "name": "a", "size": "N 2", "ours": one, "tolerance": 1e-3}
    found = speed._row(Task(**facts, peers={"same": one}), CPU, quick=True)
    assert found.difference == 0
    with pytest.raises(ValueError, match="other must compute what is timed beside it, a at N 2"):
        speed._row(Task(**facts, peers={"same": one, "other": zero}), CPU, quick=True)


def test_memory_counts_torch_and_numpy():
    import numpy as np

    def work():
        x = torch.zeros(2 * MEGABYTE), np.zeros(3 * MEGABYTE, dtype=np.float32)
        del x

    assert megabytes(work, CPU) == pytest.approx(5, abs=0.2)


def test_a_row_compares_with_the_best():
    assert row().best == "y"
    assert row().time_ratio == 0.5
    assert row().memory_ratio == 0.5
    assert row().limit_ratio == 2.0
    alone = row(peer_seconds={}, peer_megabytes={}, limit_seconds=None)
    assert (alone.best, alone.time_ratio, alone.memory_ratio, alone.limit_ratio) == (None,) * 4


def test_growth_is_the_exponent():
    grown = [
        row(growing="N", value=n, seconds=3e-6 * n**2, megabytes=0.1 * n) for n in (64, 128, 512)
    ]
    (found,) = slopes([row(), *grown])
    assert (found.growing, found.low, found.high) == ("N", 64, 512)
    assert found.time == pytest.approx(2)
    assert found.memory == pytest.approx(1)
    assert slopes(grown[:2]) == []


def test_the_table_says_what_is_absent(capsys):
    speed.print_table([row(), row(name="b", peer_seconds={}, peer_megabytes={})])
    printed = capsys.readouterr().out
    assert "y 2000.000" in printed
    assert "absent" in printed
    assert "GPU: empty" in printed


FIRST = {losses: 4, sampling: 2, inference: 2, augmentation: 1, training: 1}


@pytest.mark.parametrize("part", FIRST, ids=lambda part: part.__name__.split(".")[-1])
def test_quick_tasks_run_without_other_libraries(part):
    tasks = list(itertools.islice(part.tasks(Nobody(), CPU, quick=True), FIRST[part]))
    assert len(tasks) == FIRST[part]
    for task in tasks:
        measured = speed._row(task, CPU, quick=True)
        assert measured.seconds > 0
        assert measured.megabytes > 0
        assert measured.peer_seconds.keys() <= {"plain torch"}
        assert measured.time_goal is None


def test_losses_are_those_that_plain_torch_computes():
    for task in losses.tasks(Nobody(), CPU, quick=True):
        if task.tolerance is not None and "plain torch" in task.peers:
            ours, theirs = float(task.ours()), float(task.peers["plain torch"]())
            assert ours == pytest.approx(theirs, rel=task.tolerance, abs=1e-5), task.name


def test_rows_that_are_done_are_not_measured_again(monkeypatch):
    task = Task("terms", "a", "N 2", lambda: None, {})
    parts = (losses, sampling, inference, augmentation, training)
    for part in parts:
        monkeypatch.setattr(part, "tasks", lambda *_, **__: [])
    monkeypatch.setattr(losses, "tasks", lambda *_, **__: [task])
    monkeypatch.setattr(speed, "_row", lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert list(speed.run(done=[row()])) == [row()]


def test_a_library_that_cannot_be_imported_is_absent():
    peers = Peers()
    assert peers.module("lightly", "no_such_library_anywhere") is None
    assert peers.absent.keys() == {"lightly"}


def test_peers_come_without_their_dependencies(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    (tmp_path / "lightly-1.6.0.dist-info").mkdir()
    (tmp_path / "kornia_rs-0.1.dist-info").mkdir()
    Peers(tmp_path)
    (command,) = commands
    assert command[1:6] == ["-m", "pip", "install", "-q", "--no-deps"]
    assert "lightly==1.6.0" not in command
    assert "kornia-rs" not in command
    assert "torchebm==0.8.9" in command
    assert sys.path[-1] == str(tmp_path)


def test_peers_have_no_use_in_another_table(tmp_path):
    with pytest.raises(ValueError, match="peers must be left out for terms"):
        benchmark.run("terms", peers=tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # other libraries' own
def test_the_quick_table_is_complete(tmp_path, capsys):
    benchmark.run("speed", quick=True, out=tmp_path / "speed.json")
    printed = capsys.readouterr().out
    for group in ("terms", "samplers", "inference", "views", "training"):
        assert f"{group}, cpu" in printed
    benchmark.show(tmp_path / "speed.json")
    assert printed.split("growth")[1] in capsys.readouterr().out


def test_the_picture_has_a_line_for_each_name_and_quantity():
    from matplotlib.figure import Figure

    from ebm.benchmark.speed import picture

    rows = [
        row(name=name, growing=quantity, value=value, seconds=1e-6 * value, megabytes=0.1 * value)
        for name, quantity in (("VICReg", "D"), ("VICReg", "N"), ("NT-Xent", "N"))
        for value in (64, 256, 1024)
    ]
    figure = Figure()
    picture.draw(rows, figure)
    drawn = [
        [line.get_label() for line in ax.lines if line.get_linestyle() == "-"] for ax in figure.axes
    ]
    assert drawn[0] == ["VICReg, slope 1.00", "NT-Xent, slope 1.00"]
    assert drawn[1] == ["VICReg, slope 1.00"]
    assert len(figure.axes) == 4
    assert all(ax.get_xscale() == "log" and ax.get_yscale() == "log" for ax in figure.axes)
