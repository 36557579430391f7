"""Communication: the bytes that each term, memory and gradient moves in a step.

Two gloo processes take one step of each term, memory and method, forward and backward, and
every collective is counted as it is called. Beside each count stands its formula, in N
examples over all processes, D dimensions of an embedding and P parameters. No formula holds
the number of processes, so that two of them show what a thousand move.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import methods
from ebm import networks, terms
from ebm.benchmark.traffic import counted
from ebm.memory import Bank, Queue, Replay
from ebm.testing.cohort import free_port, joined

FLOAT, INDEX = 4, 8
"""Bytes of a float32 number, and of an index."""

PROCESSES = 2
SIZES = ((256, 64), (64, 256))
"""Examples and dimensions: more rows than columns, and fewer."""

QUICK = ((32, 8), (8, 32))


@dataclass(frozen=True)
class Payload:
    """How many times a step moves each size of thing."""

    rows: int = 0
    """N D numbers: the embeddings of all."""
    products: int = 0
    """D^2 numbers: a covariance."""
    columns: int = 0
    """D numbers: a mean."""
    numbers: int = 0
    places: int = 0
    """N indices."""
    parameters: int = 0
    """P numbers: the gradient."""
    used: int = 0
    """One index of four bytes for each tensor of parameters: which ones had a gradient."""

    def bytes(self, n: int, dim: int, parameters: int = 0, tensors: int = 0) -> int:
        """Return the bytes at some size."""
        floats = self.rows * n * dim + self.products * dim**2 + self.columns * dim + self.numbers
        floats += self.parameters * parameters + self.used * tensors
        return FLOAT * floats + INDEX * self.places * n

    def __str__(self) -> str:
        """Return the sum in numbers, indices counted as two."""
        sizes = (
            (self.rows, "N D"),
            (self.products, "D^2"),
            (self.columns, "D"),
            (self.parameters, "P"),
            (2 * self.places, "N"),
            (self.used, "tensors"),
        )
        parts = [f"{count} {of}" if count > 1 else of for count, of in sizes if count]
        return " + ".join([*parts, *[str(self.numbers)] * bool(self.numbers)]) or "0"


@dataclass(frozen=True)
class Row:
    """The traffic of one thing in one step: bytes of what every process holds afterwards."""

    thing: str
    n: int
    """Examples over all processes."""
    dim: int
    gathered: int
    gathered_formula: str
    """In numbers of four bytes."""
    gathered_expected: int
    reduced: int
    reduced_formula: str
    reduced_expected: int


@dataclass(frozen=True)
class Thing:
    """Something that moves bytes: `step(n, dim)` prepares one process's work on n rows."""

    name: str
    step: Callable[[int, int], Callable[[], Any]]
    gathered: Payload = Payload()
    reduced: Payload = Payload()


def things(*, wide: bool) -> list[Thing]:
    """Return everything that is counted; `wide` where a batch has fewer rows than dimensions."""
    one, two = Payload(rows=1), Payload(rows=2)
    covariance = (Payload(), Payload(products=2, columns=8, numbers=2))
    crossed = (Payload(), Payload(products=1, columns=10, numbers=1))
    if wide:  # the rows are the smaller thing to exchange
        covariance = crossed = (two, two)
    return [
        Thing("invariance", _loss(terms.Invariance)),
        Thing("variance", _loss(terms.Variance), reduced=Payload(columns=8)),
        Thing("covariance", _loss(terms.Covariance), *covariance),
        Thing("cross-correlation", _loss(terms.CrossCorrelation), *crossed),
        Thing("InfoNCE", _loss(terms.InfoNCE), one, one),
        Thing("NT-Xent", _loss(terms.NTXent), two, two),
        Thing("decoupled", _loss(terms.Decoupled), two, two),
        Thing("uniformity", _loss(terms.Uniformity, 1), one, one),
        Thing("whitening", _loss(partial(terms.Whitening, eps=0.1)), two, two),
        Thing("second moment (TiCo)", _loss(terms.TransformationCovariance, 1), one, one),
        # D prototypes: their largest scores, the count of rows, and three iterations.
        Thing(
            "swapped prediction",
            _loss(terms.SwappedPrediction),
            reduced=Payload(columns=8, numbers=2),
        ),
        Thing("batch norm", _batch_norm, reduced=Payload(columns=4, numbers=1)),
        Thing("queue", _memory(lambda n, dim: Queue(4 * n, dim)), one),
        Thing("bank", _memory(lambda n, dim: Bank(4 * n, dim)), Payload(rows=1, places=1)),
        Thing("replay", _memory(lambda n, dim: Replay(4 * n)), Payload(rows=1, places=1)),
        Thing("gradient", _gradient, reduced=Payload(parameters=1, used=1)),
    ]


def run(*, quick: bool = False) -> Iterator[Row]:
    """Count everything at both shapes of a batch."""
    sizes = QUICK if quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(  # pyright: ignore[reportPrivateImportUsage]
            _work, args=(free_port(), folder, sizes), nprocs=PROCESSES
        )
        for counts in torch.load(Path(folder) / "rows.pt"):
            yield Row(*counts)


def print_table(rows: Sequence[Row]) -> None:
    """Print the counts beside the formulas."""
    print(f"{'one step of':<21}{'N':>5}{'D':>5}{'gathered':>11} {'= 4 x':<12}{'reduced':>11} = 4 x")
    for row in rows:
        print(
            f"{row.thing:<21}{row.n:>5}{row.dim:>5}{row.gathered:>11,} {row.gathered_formula:<12}"
            f"{row.reduced:>11,} {row.reduced_formula:<20}".rstrip()
        )


def _work(rank: int, port: int, folder: str, sizes: Sequence[tuple[int, int]]) -> None:
    rows = []
    with joined(rank, PROCESSES, port) as fabric:
        fabric.launch()
        for n, dim in sizes:
            learned = list(_autoencoder(dim).parameters())
            size = (n, dim, sum(p.numel() for p in learned), len(learned))
            for thing in things(wide=n < dim):
                found = counted(thing.step(n // PROCESSES, dim))
                sides = ((found.gathered, thing.gathered), (found.reduced, thing.reduced))
                counts = [(count, str(payload), payload.bytes(*size)) for count, payload in sides]
                rows.append((thing.name, n, dim, *counts[0], *counts[1]))
    if rank == 0:
        torch.save(rows, Path(folder) / "rows.pt")


def _views(n: int, dim: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, dim, requires_grad=True), torch.randn(n, dim, requires_grad=True)


def _loss(build: Callable[[], Any], views: int = 2) -> Callable[[int, int], Callable[[], Any]]:
    def step(n: int, dim: int) -> Callable[[], Any]:
        term, given = build(), _views(n, dim)[:views]
        return lambda: term(*given).mean().backward()

    return step


def _batch_norm(n: int, dim: int) -> Callable[[], Any]:
    return _loss(partial(networks.BatchNorm, dim), 1)(n, dim)


def _memory(build: Callable[[int, int], Any]) -> Callable[[int, int], Callable[[], Any]]:
    def step(n: int, dim: int) -> Callable[[], Any]:
        memory, rows = build(n, dim), _views(n, dim)[0].detach()
        if isinstance(memory, Replay):
            memory.draw(rows)
        memory.stage(*[] if isinstance(memory, Queue) else [torch.arange(n)], rows)
        return memory.commit

    return step


def _autoencoder(dim: int) -> methods.Autoencoder:
    return methods.Autoencoder(nn.Linear(dim, dim), nn.Linear(dim, dim))


def _gradient(n: int, dim: int) -> Callable[[], Any]:
    model = DistributedDataParallel(_autoencoder(dim), find_unused_parameters=True)
    x = _views(n, dim)[0].detach()

    def step() -> None:
        value = next(iter(model(x).values()))
        value.mean().backward()

    step()  # the first step also agrees on the order of the gradients
    return step
