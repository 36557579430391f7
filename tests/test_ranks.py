"""What processes agree on, where one process can show it."""

import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies import DataParallelStrategy

import ebm
from ebm import __main__ as command
from ebm.training import ranks


class Others:
    """A Fabric of two, one of which is here; it keeps what is broadcast."""

    def __init__(self, rank, sent=None):
        self.is_global_zero, self.world_size, self.sent = rank == 0, 2, sent

    def broadcast(self, value):
        self.sent = value if self.is_global_zero else self.sent
        return self.sent


def test_the_first_process_leads():
    first = Others(0)
    assert ranks.lead(lambda: 5, first) == 5
    assert ranks.lead(lambda: pytest.fail("only the first makes it"), Others(1, first.sent)) == 5


def test_what_the_first_process_raises_is_raised_everywhere():
    first = Others(0)
    with pytest.raises(KeyError, match="no"):
        ranks.lead(lambda: {}["no"], first)
    with pytest.raises(KeyError, match="no"):
        ranks.lead(lambda: None, Others(1, first.sent))


def test_lost_connections_are_told_from_other_errors():
    assert ranks.lost(RuntimeError("[gloo/transport/tcp/pair.cc:5] Connection closed by peer"))
    assert ranks.lost(dist.DistBackendError("NCCL error: remote process exited"))
    assert not ranks.lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not ranks.lost(ValueError("Connection closed by peer"))


def test_a_signal_is_heard_by_all():
    assert ranks.heard(None, torch.device("cpu")) is None
    assert ranks.heard(15, torch.device("cpu")) == 15


def test_other_strategies_are_refused():
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric._strategy = DataParallelStrategy()
    with pytest.raises(ValueError, match="strategy must be ddp, or one device, got DataParallel"):
        ebm.fit(ebm.Method(), torch.zeros(2, 2), fabric=fabric)
    with pytest.raises(ValueError, match="FSDP is only available on GPU"):
        Fabric(accelerator="cpu", devices=2, strategy="fsdp")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strategy", "fsdp"], "strategy must be auto or ddp, got 'fsdp'"),
        (["--device", "tpu"], "device must be one of"),
    ],
)
def test_the_command_line_refuses_other_engines(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        command.main(["train", "vicreg", "--out", str(tmp_path / "run"), *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_torchrun_says_how_many_processes_there_are(monkeypatch):
    assert command._processes(None, None) == (1, 1)
    assert command._processes(4, 2) == (4, 2)
    for name, value in (("RUN_ID", "x"),):
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert command._processes(None, None) == (4, 2)
    assert command._processes(4, 2) == (4, 2)
    with pytest.raises(ValueError, match="devices and num_nodes must be left to torchrun, got 2"):
        command._processes(2, None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_line_trains_on_two_processes_three_ways(tmp_path):
    out = str(tmp_path / "run")
    common = ["train", "vicreg", "--data", "two-moons", "--batch-size", "64", "--out", out]
    module = ["-m", "ebm", *common]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29741"]
    fabric = ["-m", "lightning_fabric.cli", "--accelerator", "cpu", "--devices", "2"]
    script = tmp_path / "script.py"
    script.write_text("from ebm.__main__ import main\nmain()\n")
    ways = [
        [*module, "--steps", "4", "--device", "cpu", "--devices", "2"],
        [*torchrun, *module, "--steps", "8", "--device", "cpu", "--resume"],
        [*fabric, "--main-port", "29742", str(script), *common, "--steps", "12", "--resume"],
    ]
    for step, words in zip((4, 8, 12), ways, strict=True):
        done = subprocess.run(
            [sys.executable, *words], env=os.environ, text=True, capture_output=True, timeout=150
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"History(steps={step}") == 1, done.stdout
    assert '"processes": 2' in (tmp_path / "run" / "run.json").read_text()
