"""Faults in real runs: kills at any moment, full disks, signals, bad data, dead workers.

`python -m tests.faults --kills 200` starts a small run again and again in processes of their
own, ends each by a fault drawn at random, and looks at what is on the disk: every checkpoint
must be whole, none that was written may be lost, and a run that got to its end must have the
history and the state of one that nothing happened to, bit for bit.
"""

import argparse
import collections
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import ebm
from ebm.training import checkpoint, seal
from ebm.training.run import Run

STEPS, SAVE_EVERY, KEEP = 40, 3, 3
X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
WRITERS = ("atomic.py", "seal.py", "checkpoint.py", "run.py", "history.py")
KILLS = ("killed anywhere", "killed at a line of the writing", "killed at a byte of a checkpoint")
OTHERS = {
    "disk full": (1, "disk must take"),
    "Ctrl-C": (130, "Stopped by Ctrl-C"),
    "SIGTERM": (143, "Stopped by SIGTERM"),
    "data raise": (1, "data must yield every batch, got OSError"),
    "NaN batch": (1, "The batch holds NaN or infinity in 1 of 10 rows|center was not finite"),
    "worker died": (1, "data must yield every batch, got .*DataLoader worker"),
}
"""Faults that a run answers: its exit status and what it must say."""


class Tried(ebm.Method):
    """Dropout, noise, a moving average and a sweep: all that a resume could get wrong."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("center", torch.zeros(2))

    def energy(self, x):
        return (self.net(x - self.center).squeeze(-1) - x[:, 0]).square()

    def sweep(self, batches):
        self.center.copy_(sum(x.mean(0) + 0.01 * torch.randn(2) for (x,) in batches))

    def terms(self, x):
        noise = 0.1 * torch.randn_like(x)
        return {"fit": self.energy(x + noise), "weight": 0.01 * self.net[0].weight.square().sum()}

    def after_step(self):
        self.average.mul_(0.9).add_(0.1 * self.net[2].bias.detach().mean())


class Noisy(Dataset):
    """Rows with noise from every generator that a data set of a user may draw from."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        drawn = random.random() + np.random.rand() + float(torch.rand(()))  # noqa: NPY002
        return (X[i] + 0.01 * drawn,)


class Bad(Dataset):
    """Rows of another set, of which one call fails, is NaN, or kills the process that makes it."""

    def __init__(self, rows, kind, after):
        self.rows, self.kind, self.left = rows, kind, after

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.left -= 1
        (x,) = self.rows[i]
        if self.left == 0 and self.kind == "data raise":
            raise OSError(5, "Input/output error")
        if self.left == 0 and self.kind == "NaN batch":
            return (x * float("nan"),)
        if self.left == 0 and self.kind == "worker died":
            os.kill(os.getpid(), signal.SIGKILL)
        return (x,)


def data(flavor, fault=None, after=0):
    """Return the data of a run: a tensor, a data set or a loader; the latter two may fail."""
    rows = {"tensor": TensorDataset(X), "dataset": Noisy(), "loader": Noisy(), "workers": Noisy()}
    rows = rows[flavor]
    if fault in ("data raise", "NaN batch", "worker died"):
        rows = Bad(rows, fault, after)
    if flavor == "tensor":
        return X
    if flavor == "dataset":
        return rows
    return DataLoader(rows, 10, shuffle=True, num_workers=int(flavor == "workers"))


def train(folder, rows, views=None):
    torch.manual_seed(3)
    return ebm.fit(
        Tried(),
        rows,
        steps=STEPS,
        batch_size=10,
        schedule=ebm.training.warmup_cosine(steps=STEPS, warmup=5),
        views=views,
        gradient_clip=1.0,
        seed=7,
        out=folder,
        resume=True,
        keep=KEEP,
        save_every=SAVE_EVERY,
        log_every=2,
        progress=False,
    )


def child(folder, flavor, fault, draw, acknowledge):
    """Train in this process, with a fault waiting somewhere; never returns."""
    os.setpgid(0, 0)
    said = os.open(folder.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 2)
    save = Run.save

    def saved(self, state):
        save(self, state)
        os.write(acknowledge, b"%d\n" % state["step"])

    Run.save = saved
    views = None
    if fault == KILLS[1]:
        lines = draw.randint(1, 2_500)

        def line(frame, event, argument):
            nonlocal lines
            lines -= event == "line"
            if lines == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return line

        files = tuple(str(Path(checkpoint.__file__).with_name(name)) for name in WRITERS)
        sys.settrace(lambda frame, *_: line if frame.f_code.co_filename in files else None)
    elif fault == KILLS[2]:
        left, write = draw.randint(1, 60_000), seal._Tee.write

        def some(self, block):
            nonlocal left
            block = bytes(block)
            if left <= len(block):
                self.file.write(block[:left])
                self.file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            left -= len(block)
            return write(self, block)

        seal._Tee.write = some
    elif fault == "disk full":
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (draw.randint(700, 9_000), hard))
    elif fault in ("Ctrl-C", "SIGTERM"):
        number = signal.SIGINT if fault == "Ctrl-C" else signal.SIGTERM
        steps = draw.randint(1, STEPS // 2)

        def views(x):
            nonlocal steps
            steps -= 1
            if steps == 0:
                os.kill(os.getpid(), number)
            return x

    try:
        train(folder, data(flavor, fault, draw.randint(1, 300)), views)
        os._exit(0)
    except KeyboardInterrupt as error:
        status, message = 130, str(error)
    except SystemExit as error:
        status, message = error.code, ""
    except BaseException as error:
        if not isinstance(error, ebm.Fault | ebm.Divergence):
            sys.excepthook(*sys.exc_info())
        status, message = 1, str(error)
    sys.stderr.write(message)
    sys.stderr.flush()
    os._exit(status)


def launch(folder, flavor, fault, draw):
    """Run once, in a child; return its status, what it said, and the last step that it saved."""
    reading, writing = os.pipe()
    seed, delay = draw.random(), draw.uniform(0.0, 0.25)
    pid = os.fork()
    if pid == 0:
        try:
            child(folder, flavor, fault, random.Random(seed), writing)
        finally:
            os._exit(99)
    os.close(writing)
    if fault == KILLS[0]:
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # a loader's worker outlives who made it for a while
    with os.fdopen(reading, "rb") as pipe:
        acknowledged = [int(step) for step in pipe.read().split()]
    said = folder.with_suffix(".said")
    return status, said.read_text() if said.exists() else "", max(acknowledged, default=0)


def inspect(folder, least):
    """Return the last step that is saved, after reading all that is there."""
    files = checkpoint.checkpoints(folder / "checkpoints")
    states = [checkpoint.read(file) for file in files]
    steps = [state["step"] for state in states]
    assert steps == [int(file.stem[5:]) for file in files]
    assert not least or steps[-1] >= least, f"step {least} was saved, and {steps} are there"
    assert len(files) >= min(KEEP, len(steps)), steps
    if steps:
        ebm.load(files[-1], into=Tried())
    if len(steps) > 1:
        best = checkpoint.read(folder / "best.pt")
        assert best["total"] <= min(state["total"] for state in states[:-1])
    return steps[-1] if steps else 0


def same(folder, reference):
    """Check that a run ended as the one that nothing happened to."""
    assert (folder / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()
    ours, theirs = (checkpoint.read(path) for path in (folder, reference))
    for part in ("method", "optimizer", "scheduler", "place", "seed"):
        assert equal(ours[part], theirs[part]), part
    assert not list(folder.rglob("*.part"))


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def try_faults(kills, seed, folder):
    """Inject faults until so many kills were survived; return the counts."""
    draw = random.Random(seed)
    flavors = ("tensor", "dataset", "loader", "workers")
    for flavor in flavors:
        status, said, _ = launch(folder / f"{flavor}-reference", flavor, None, draw)
        assert status == 0, said
    counts, runs = collections.Counter(), 0
    while sum(counts[kind] for kind in KILLS) < kills:
        flavor = draw.choices(flavors, (4, 3, 2, 2))[0]
        run, least, status = folder / f"run-{runs}", 0, None
        while status != 0:
            fault = draw.choice(KILLS)
            if draw.random() < 0.25:
                possible = [kind for kind in OTHERS if kind != "worker died" or flavor == "workers"]
                if flavor == "tensor":  # it is checked before the run, and has no code of its own
                    possible = ["Ctrl-C", "SIGTERM", "disk full"]
                fault = min(possible, key=lambda kind: (counts[kind], draw.random()))
            status, said, saved = launch(run, flavor, fault, draw)
            least = inspect(run, max(least, saved))
            if status == 0:
                continue
            if fault in KILLS:
                assert status == -signal.SIGKILL, (fault, status, said)
            else:
                code, words = OTHERS[fault]
                assert status == code, (fault, status, said)
                assert re.search(words, said), (fault, said)
                assert len(said.strip().splitlines()) == 1, said
                assert not least or fault == "NaN batch" or "Go on with resume=True" in said, said
                if fault in ("Ctrl-C", "SIGTERM"):
                    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + least
                assert "step-" not in said or f"step-{least:09d}.pt" in said, (least, said)
            counts[fault] += 1
        same(run, folder / f"{flavor}-reference")
        shutil.rmtree(run)
        runs += 1
    return counts, runs


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    start = time.perf_counter()
    # What a kill loses does not depend on the disk, and one in memory is fast.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        train(Path(folder) / "warm", X)  # what is imported here, no child imports again
        counts, runs = try_faults(options.kills, options.seed, Path(folder))
    kills = sum(counts[kind] for kind in KILLS)
    others = sum(counts.values()) - kills
    sys.stdout.write(
        f"{kills} kills and {others} other faults in {time.perf_counter() - start:.0f} s: no "
        f"checkpoint lost or damaged, and {runs} of {runs} resumed runs equal the uninterrupted "
        f"one bit for bit ({', '.join(f'{kind}: {n}' for kind, n in sorted(counts.items()))})\n"
    )


if __name__ == "__main__":
    main()
