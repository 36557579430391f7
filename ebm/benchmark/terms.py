"""Terms beside the plain dense formula of the same loss: time and memory.

The plain formulas stand here as the papers have them, with every D x D or 2N x 2N matrix
written out. Both sides run forward and backward on the same float32 embeddings, in turn, in
one process, with as many threads as torch has; the times are medians. Memory is the peak
that torch's allocator counts, gradients included and the embeddings themselves not.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebm import terms
from ebm.benchmark.memory import peak

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """One loss at one size; the plain columns are None where it would not fit."""

    loss: str
    n: int
    """Pairs of embeddings."""
    dim: int
    ours_seconds: float
    plain_seconds: float | None
    ours_megabytes: float
    plain_megabytes: float | None
    difference: float | None
    """Of the two values, in units of the plain one."""
    time_goal: float | None
    """Most that our time over the plain one should be."""
    memory_goal: float | None
    """The same of the memory; in megabytes where there is no plain one."""

    @property
    def time_ratio(self) -> float | None:
        """Our time over the plain one."""
        return None if self.plain_seconds is None else self.ours_seconds / self.plain_seconds

    @property
    def memory_ratio(self) -> float | None:
        """Our memory over the plain one."""
        return None if self.plain_megabytes is None else self.ours_megabytes / self.plain_megabytes


@dataclass(frozen=True)
class Task:
    """A loss at one size, ours and the plain one if it fits."""

    loss: str
    n: int
    dim: int
    ours: Loss
    plain: Loss | None
    time_goal: float | None
    memory_goal: float | None
    repeats: int
    """Rounds that are timed."""


def plain_vicreg(x: Tensor, y: Tensor) -> Tensor:
    """Return VICReg with its covariance matrices written out, in the authors' convention."""
    value = 25 * functional.mse_loss(x, y)
    for z in (x, y):
        z = z - z.mean(0)
        deviation = (z.var(0) + 1e-4).sqrt()
        covariance = z.mT @ z / (len(z) - 1)
        value = value + 25 * (1 - deviation).relu().mean() / 2
        value = value + _off_diagonal(covariance).square().sum() / z.shape[1]
    return value


def plain_barlow_twins(x: Tensor, y: Tensor) -> Tensor:
    """Return Barlow Twins with its correlation matrix written out."""
    x, y = ((z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt() for z in (x, y))
    correlation = x.mT @ y / len(x)
    agreement = (1 - correlation.diagonal()).square().sum()
    return agreement + 0.0051 * _off_diagonal(correlation).square().sum()


def plain_nt_xent(x: Tensor, y: Tensor) -> Tensor:
    """Return NT-Xent at temperature 0.1 with its 2N x 2N logits written out."""
    n = len(x)
    z = functional.normalize(torch.cat([x, y]), dim=1)
    logits = z @ z.mT / 0.1
    own = torch.eye(2 * n, dtype=torch.bool, device=x.device)
    partner = torch.arange(2 * n, device=x.device).roll(n)
    return functional.cross_entropy(logits.masked_fill(own, -math.inf), partner)


def run(*, quick: bool = False) -> Iterator[Row]:
    """Yield the rows, measured one after another.

    Args:
        quick: An eighth of the sizes, for which there are no goals.
    """
    for task in _tasks(8 if quick else 1):
        yield _row(replace(task, time_goal=None, memory_goal=None) if quick else task)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(
        f"{'loss':13} {'N':>6} {'D':>5} {'ours s':>9} {'plain s':>9} {'ratio':>6} {'goal':>5} "
        f"{'ours MB':>8} {'plain MB':>9} {'ratio':>6} {'goal':>5} {'difference':>11}"
    )
    for row in rows:
        print(
            f"{row.loss:13} {row.n:6} {row.dim:5} {row.ours_seconds:9.4f} "
            f"{_cell(row.plain_seconds, 9, '.4f')} {_cell(row.time_ratio, 6, '.3f')} "
            f"{_cell(row.time_goal, 5, 'g')} {row.ours_megabytes:8.1f} "
            f"{_cell(row.plain_megabytes, 9, '.1f')} {_cell(row.memory_ratio, 6, '.3f')} "
            f"{_cell(row.memory_goal, 5, 'g')} {_cell(row.difference, 11, '.1e')}"
        )


def _cell(value: float | None, width: int, form: str) -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"


def _tasks(share: int) -> list[Task]:
    vicreg: Any = 25 * terms.Invariance() + 25 * terms.Variance() + terms.Covariance()
    barlow, nt_xent = terms.CrossCorrelation(), terms.NTXent(temperature=0.1)
    wide, many, most = 8192 // share, 4096 // share, 32_768 // share
    return [
        Task("VICReg", 256, wide, vicreg, plain_vicreg, 0.06, 0.06, 5),
        Task("Barlow Twins", 256, wide, barlow, plain_barlow_twins, 0.06, 0.06, 5),
        Task("NT-Xent", 256, 128, nt_xent, plain_nt_xent, 1.05, None, 200 // share),
        Task("NT-Xent", many, 128, nt_xent, plain_nt_xent, 0.35, 0.1, 5),
        Task("NT-Xent", most, 128, nt_xent, None, None, 1024, 1),
    ]


def _row(task: Task) -> Row:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, task.n, task.dim, generator=generator)
    pair = (x.requires_grad_(), (x.detach() + 0.5 * noise).requires_grad_())
    sides: dict[str, Loss] = {"ours": task.ours}
    if task.plain is not None:
        sides["plain"] = task.plain
    values, seconds, megabytes = {}, {name: [] for name in sides}, {}
    for name, loss in sides.items():  # the first run pays for threads and caches
        values[name] = _once(loss, pair)
    for _ in range(task.repeats):
        for name, loss in sides.items():
            start = time.perf_counter()
            _once(loss, pair)
            seconds[name].append(time.perf_counter() - start)
    for name, loss in sides.items():
        _forget(pair)
        megabytes[name] = peak(lambda loss=loss: _backward(loss, pair))
    median = {name: statistics.median(several) for name, several in seconds.items()}
    difference = None
    if "plain" in values:
        difference = abs(values["ours"] - values["plain"]) / abs(values["plain"])
    return Row(
        task.loss,
        task.n,
        task.dim,
        median["ours"],
        median.get("plain"),
        megabytes["ours"],
        megabytes.get("plain"),
        difference,
        task.time_goal,
        task.memory_goal,
    )


def _once(loss: Loss, pair: tuple[Tensor, Tensor]) -> float:
    _forget(pair)
    return _backward(loss, pair)


def _backward(loss: Loss, pair: tuple[Tensor, Tensor]) -> float:
    value = loss(*pair).mean()
    value.backward()
    return float(value.detach())


def _forget(pair: tuple[Tensor, Tensor]) -> None:
    for x in pair:
        x.grad = None


def _off_diagonal(matrix: Tensor) -> Tensor:
    """Return the entries beside the diagonal, as the authors' code takes them."""
    n = len(matrix)
    return matrix.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()
