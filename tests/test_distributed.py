"""Runs on several processes: restarts with another number, data in shares, and deaths."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

import ebm
import methods
from ebm import networks
from ebm.memory import Replay
from ebm.testing.cohort import free_port, joined
from ebm.training import checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

X = torch.randn(64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = X + 0.1 * torch.randn(64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y[::2] += 3.0  # the ranks see different statistics


class Replayed(ebm.Method):
    """Persistent chains under dynamics without noise."""

    def __init__(self, energy):
        super().__init__()
        self.energy = ebm.as_energy(energy)
        self.replay = Replay(48, restart=0.0)

    def terms(self, x, y=None):
        chains, slots = self.replay.draw(x)
        chains = ebm.samplers.Langevin(0.01, temperature=0.0).move(self.energy, chains, 2)
        self.replay.stage(slots, chains)
        return {"data": self.energy(x), "negatives": -self.energy(chains)}


def build(name):
    torch.manual_seed(0)
    if name == "VICReg":
        encoder, projector = networks.MLP([4, 8, 8]), networks.Projector([8, 8, 6])
        return methods.VICReg(encoder.double(), projector.double())
    if name == "KMeans":
        return methods.KMeans(5)
    return Replayed(ebm.energies.MLP(4, hidden=(8,)).double())


def descent(method):
    return torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)


def train(method, fabric=None, **options):
    data = X if isinstance(method, methods.KMeans) else (X, Y)
    options = {"optimizer": descent, "seed": 3, **options}
    return ebm.fit(method, data, batch_size=32, fabric=fabric, progress=False, **options)


def on_two(work, *given):
    multiprocessing.spawn(_join, (free_port(), work, given), nprocs=2)


def _join(rank, port, work, given):
    with joined(rank, 2, port) as fabric:
        work(fabric, *given)


NAMES = ("VICReg", "Replayed", "KMeans")
"""Batch statistics; a memory; sweeps."""


def go_on(fabric, folder):
    for name in NAMES:
        torch.manual_seed(fabric.global_rank)  # nobody has to seed the networks alike
        history = train(build(name), fabric, steps=6, out=folder / name, resume=True)
        torch.save(history.columns, folder / f"{name}-{fabric.global_rank}.pt")
    seeds = [train(build("VICReg"), fabric, steps=1, seed=None).seed for _ in range(2)]
    assert seeds[0] != seeds[1]
    torch.save(seeds, folder / f"seeds-{fabric.global_rank}.pt")


def test_the_number_of_processes_may_change_at_every_restart(tmp_path):
    on_two(begin, tmp_path)
    for name in NAMES:
        train(build(name), steps=4, out=tmp_path / name, resume=True)
    on_two(go_on, tmp_path)
    for name in NAMES:
        whole, ours = build(name), build(name)
        expected = train(whole, steps=6)
        ebm.load(tmp_path / name, into=ours)
        for key, value in whole.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key], value, rtol=0, atol=1e-10, msg=key)
        for rank in range(2):
            columns = torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True)
            for column in expected.names:
                found = torch.tensor(columns[column], dtype=torch.float64)
                wanted = torch.from_numpy(expected[column])
                torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
        assert json.loads((tmp_path / name / "run.json").read_text())["processes"] == 2
    assert torch.load(tmp_path / "seeds-0.pt") == torch.load(tmp_path / "seeds-1.pt")


def begin(fabric, folder):
    for name in NAMES:
        train(build(name), fabric, steps=2, out=folder / name)
    with pytest.raises(ValueError, match="out must not hold another run"):
        train(build("VICReg"), fabric, steps=4, out=folder / "VICReg")


class Recorder(ebm.Method):
    """Keeps what it was given; its one parameter does nothing."""

    def __init__(self):
        super().__init__()
        self.energy = ebm.energies.Quadratic()
        self.still = nn.Parameter(torch.zeros(()))
        self.seen = []

    def terms(self, x):
        self.seen += x[:, 0].tolist()
        return {"x": x[:, 0] + self.still}


class Indexed(Dataset):
    """Rows by their number."""

    def __len__(self):
        return 24

    def __getitem__(self, i):
        return torch.tensor([float(i), 0.0])


class Stream(IterableDataset):
    """A stream that every worker of every process reads a share of."""

    def __init__(self, rank, world):
        self.rank, self.world = rank, world

    def __iter__(self):
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        share = self.rank * workers + number
        for i in range(share, 24, self.world * workers):
            yield torch.tensor([float(i), 0.0])


def sources(rank, world):
    stream = Stream(rank, world)
    return {
        "tensor": torch.stack([Indexed()[i] for i in range(24)]),
        "array": torch.stack([Indexed()[i] for i in range(24)]).numpy(),
        "map": Indexed(),
        "loader": DataLoader(Indexed(), batch_size=4, shuffle=True, num_workers=1),
        "stream": stream,
        "stream loader": DataLoader(stream, batch_size=3, num_workers=2),
    }


def read(fabric, folder):
    found = {}
    for name, data in sources(fabric.global_rank, 2).items():
        method = Recorder()
        steps = 4 if name == "stream loader" else 3
        ebm.fit(method, data, steps=steps, batch_size=8, fabric=fabric, seed=0, progress=False)
        found[name] = method.seen
    torch.save(found, folder / f"{fabric.global_rank}.pt")


def test_every_kind_of_data_is_read_in_shares(tmp_path):
    on_two(read, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in first:
        assert len(first[name]) == len(second[name]) == 12, name
        assert sorted(first[name] + second[name]) == [float(i) for i in range(24)], name


SCRIPT = """
import os, sys, time, torch
from lightning_fabric import Fabric
import ebm, methods

class Mortal(methods.ContrastiveDivergence):
    def terms(self, x):
        rank = ebm.distributed.rank()
        if self.step == int(os.environ.get("DIE_AT", -1)) and rank == int(os.environ["DIES"]):
            os.kill(os.getpid(), 9) if os.environ["HOW"] == "killed" else 1 / 0
        time.sleep(0.02)
        return super().terms(x)

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 64
    def __getitem__(self, i):
        if os.environ.get("HOW") == "data" and ebm.distributed.rank() == 1 and i == 40:
            raise OSError("no such shard")
        return torch.randn(2)

method = Mortal(ebm.energies.MLP(2, hidden=(8,)), steps=3)
data = Data() if os.environ.get("HOW") == "data" else torch.randn(256, 2)
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
ebm.fit(method, data, steps=int(sys.argv[1]), batch_size=16, out=sys.argv[2], resume=True,
        save_every=5, log_every=5, fabric=fabric, seed=0, progress=False)
print("finished", flush=True)
"""


def start(folder: Path, steps: int, **environment) -> subprocess.Popen:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(ebm.__file__).parents[1])
    clean = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "RANK")}
    given = {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "MASTER_PORT": str(free_port())}
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port"]
    return subprocess.Popen(
        [sys.executable, *torchrun, given["MASTER_PORT"], script, str(steps), folder / "run"],
        env={**clean, **given, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen, seconds: float = 120.0) -> tuple[str, int]:
    """Return what was printed and the status; nothing stays behind, whatever happens."""
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return said, process.returncode


@pytest.mark.parametrize("dies", ["0", "1"])
def test_a_rank_that_is_killed_ends_the_run(tmp_path, dies):
    began = time.monotonic()
    said, status = finished(start(tmp_path, 2_000, DIE_AT="13", DIES=dies, HOW="killed"))
    assert status != 0
    assert "every process must live to the end of the run, got a lost connection" in said
    assert "resume=True" in said
    last = checkpoint.read(tmp_path / "run")
    assert last["step"] == 10
    said, status = finished(start(tmp_path, 15))
    assert (status, said.count("finished")) == (0, 2), said
    assert checkpoint.read(tmp_path / "run")["step"] == 15
    assert time.monotonic() - began < 200


def test_an_error_on_one_rank_ends_the_run_and_names_itself(tmp_path):
    said, status = finished(start(tmp_path, 2_000, DIE_AT="7", DIES="1", HOW="raised"))
    assert status != 0
    assert "ZeroDivisionError" in said
    assert checkpoint.read(tmp_path / "run")["step"] == 5


def test_data_that_fail_on_one_rank_end_the_run_and_name_themselves(tmp_path):
    said, status = finished(start(tmp_path, 2_000, HOW="data"))
    assert status != 0
    assert "data must yield every batch, got OSError: no such shard" in said


def test_sigterm_stops_all_ranks_at_one_step_with_a_checkpoint(tmp_path):
    process = start(tmp_path, 100_000)
    try:
        while not list(tmp_path.glob("run/checkpoints/step-*.pt")):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.2)
        process.terminate()
    finally:
        said, status = finished(process)
    assert status != 0
    assert "Stopped by SIGTERM after the step" in said
    assert "lost connection" not in said
    assert checkpoint.read(tmp_path / "run")["step"] % 5 == 0
