"""What `fit` costs over the bare loop: the same method, optimizer and batches in plain PyTorch.

Both sides take turns in one process, a chunk of steps each, from the same start; the cost is
the median over the rounds of their difference, per step. Time is that of the processor in the
thread that trains, so that other work on the machine does not count; on an idle machine it is
what the clock says, without waiting for the disk. `fit` seeds each step, moves its data,
checks and records its terms, and looks for signals; with a folder it also writes the metrics and
its checkpoints. Setting up a run, once, is a number of its own.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ebm

EPOCH = 16
"""Steps of an epoch."""
LEARNING_RATE = 1e-3


class Regression(ebm.Method):
    """A network that fits a linear function of its input, and decays: two terms.

    Args:
        dim: Dimension of the data.
        width: Of the hidden layers.
        depth: Hidden layers.
    """

    def __init__(self, dim: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in [dim, *[width] * (depth - 1)]:
            layers += [nn.Linear(before, width), nn.ReLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(width, 1)

    def energy(self, x: Tensor) -> Tensor:
        """Return the squared error."""
        return (self.head(self.body(x)).squeeze(-1) - x.mean(1)).square()

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the error and the decay."""
        return {"error": self.energy(x), "decay": 1e-4 * self.head.weight.square().sum()}


@dataclass(frozen=True)
class Row:
    """One method under both loops."""

    method: str
    folder: bool
    """Whether the run has a folder, for metrics and checkpoints."""
    bare_seconds: float
    """Of a step of the bare loop."""
    extra_seconds: float
    """What a step of `fit` takes more."""
    start_seconds: float
    """What a run takes before its first step and after its last."""
    goal: str
    """The most that it should be."""

    @property
    def share(self) -> float:
        """What a step takes more, over what it takes."""
        return self.extra_seconds / self.bare_seconds


@dataclass(frozen=True)
class Task:
    """A method and how long to look at it."""

    name: str
    dim: int
    width: int
    depth: int
    batch: int
    steps: int
    rounds: int
    goal: str

    def build(self) -> tuple[Regression, Tensor]:
        """Return the method and its data, the same each time."""
        torch.manual_seed(0)
        return Regression(self.dim, self.width, self.depth), torch.randn(
            EPOCH * self.batch, self.dim
        )


TASKS = (
    Task("tiny: 2 layers of 16", 4, 16, 2, 64, 400, 7, "0.3 ms"),
    Task("10 ms: 4 layers of 256", 256, 256, 4, 1_024, 48, 7, "3 %"),
)


def run(*, quick: bool = False) -> Iterator[Row]:
    """Yield the rows, measured one after another.

    Args:
        quick: Two rounds of a few steps.
    """
    for task in TASKS:
        for folder in (False, True):
            yield _row(task, folder=folder, quick=quick)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(
        f"{'method':24} {'folder':6} {'bare ms':>8} {'more ms':>8} {'more %':>7} {'goal':>7} "
        f"{'start ms':>9}"
    )
    for row in rows:
        print(
            f"{row.method:24} {'yes' if row.folder else 'no':6} {row.bare_seconds * 1e3:8.3f} "
            f"{row.extra_seconds * 1e3:8.3f} {row.share:7.1%} {row.goal:>7} "
            f"{row.start_seconds * 1e3:9.1f}"
        )


def bare_loop(method: Regression, x: Tensor, batch: int, steps: int) -> None:
    """Train as one writes it without a framework."""
    optimizer = torch.optim.Adam(method.parameters(), lr=LEARNING_RATE)
    method.train()
    done = 0
    while done < steps:
        order = torch.randperm(len(x))
        for rows in order[: len(x) // batch * batch].view(-1, batch):
            terms = method.terms(x[rows])
            loss = terms["error"].mean() + terms["decay"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break


def _row(task: Task, *, folder: bool, quick: bool) -> Row:
    steps, rounds = (20, 2) if quick else (task.steps, task.rounds)
    times: dict[str, list[float]] = {"bare": [], "fit": [], "start": []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(-1, rounds):  # the first round pays for imports and caches
            out = {"out": Path(place) / str(number)} if folder else {}
            method, x = task.build()
            bare = _seconds(bare_loop, method, x, task.batch, steps)
            method, x = task.build()
            start = _seconds(
                _fit, method, x, task.batch, 1, **(out and {"out": Path(place) / f"{number}-"})
            )
            method, x = task.build()
            whole = _seconds(_fit, method, x, task.batch, steps, **out)
            if number >= 0:
                times["bare"].append(bare / steps)
                times["start"].append(start)
                times["fit"].append(whole)
    pairs = zip(times["fit"], times["start"], times["bare"], strict=True)
    extra = [(whole - start) / (steps - 1) - bare for whole, start, bare in pairs]
    return Row(
        task.name,
        folder,
        statistics.median(times["bare"]),
        statistics.median(extra),
        statistics.median(times["start"]),
        task.goal,
    )


def _fit(method: Regression, x: Tensor, batch: int, steps: int, **out: Any) -> None:
    ebm.fit(method, x, steps=steps, batch_size=batch, seed=0, progress=False, **out)


def _seconds(train: Any, *arguments: Any, **options: Any) -> float:
    start = time.thread_time()
    train(*arguments, **options)
    return time.thread_time() - start
