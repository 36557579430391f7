"""Speed: our parts beside other libraries, and beside what cannot be avoided.

Every row is one piece of work, done by ours, by each library that can do it, and, where there
is one, by the bare matrix products or the bare energy: the limit. All run in turn, in one
process, on the same inputs and threads, forward and backward; times are medians. Memory is
the peak of torch's and numpy's allocators, gradients included and inputs not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ebm.benchmark.speed import augmentation, inference, losses, sampling, training
from ebm.benchmark.speed.growth import slopes
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, megabytes, race


@dataclass(frozen=True)
class Row:
    """One piece of work on one device."""

    group: str
    name: str
    size: str
    device: str
    seconds: float
    """Our time."""
    megabytes: float
    peer_seconds: dict[str, float]
    """The time of each library that was there."""
    peer_megabytes: dict[str, float]
    limit_seconds: float | None
    difference: float | None
    """Of our value and the best peer's, relative to it; None for different losses."""
    time_goal: float | None
    memory_goal: float | None
    limit_goal: float | None
    growing: str | None
    """The quantity that grows along rows of one name."""
    value: float | None
    """Its value."""
    against: str | None = None
    """The library that the time's goal speaks of, where it is not the best."""

    @property
    def best(self) -> str | None:
        """The fastest of the other libraries."""
        return min(self.peer_seconds, key=self.peer_seconds.__getitem__, default=None)

    @property
    def time_ratio(self) -> float | None:
        """Our time over the best peer's, or over that which the goal speaks of."""
        peer = self.against if self.against in self.peer_seconds else self.best
        return self.seconds / self.peer_seconds[peer] if peer else None

    @property
    def memory_ratio(self) -> float | None:
        """Our memory over that of the peer who needs least."""
        least = min(self.peer_megabytes.values(), default=None)
        return self.megabytes / least if least else None

    @property
    def limit_ratio(self) -> float | None:
        """Our time over the limit's."""
        return self.seconds / self.limit_seconds if self.limit_seconds else None


def run(
    *, quick: bool = False, peers: Path | None = None, done: Sequence[Row] = ()
) -> Iterator[Row]:
    """Yield the rows, measured one after another, on the CPU and then on a GPU if there is one.

    Args:
        quick: Small sizes, for which there are no goals.
        peers: Folder of the other libraries; those that are missing are installed there.
        done: Rows that are there already.
    """
    known = {(row.group, row.name, row.size, row.device): row for row in done}
    others = Peers(peers)
    devices = ["cpu", *["cuda"] * torch.cuda.is_available()]
    for device in map(torch.device, devices):
        for part in (losses, sampling, inference, augmentation, training):
            for task in part.tasks(others, device, quick=quick):
                place = (task.group, task.name, task.size, device.type)
                yield known.get(place) or _row(task, device, quick=quick)
    for name, reason in others.absent.items():
        print(f"{name} is absent: {reason}")


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table, with the growth of time and memory below it."""
    print(
        f"{'':38} {'size':30} {'ours ms':>10} {'best peer':>27} {'ratio':>6} {'goal':>5} "
        f"{'limit ms':>10} {'ratio':>6} {'goal':>5} {'ours MB':>9} {'peer MB':>9} {'ratio':>6} "
        f"{'goal':>5}"
    )
    devices = list(dict.fromkeys(row.device for row in rows))
    for device in devices:
        here = [row for row in rows if row.device == device]
        for group in dict.fromkeys(row.group for row in here):
            print(f"{group}, {device}")
            for row in here:
                if row.group == group:
                    _print(row)
    if "cuda" not in devices:
        print("GPU: empty; there was none on the machine of this run.")
    print("\ngrowth, log-log slope of time and memory")
    for slope in slopes(rows):
        print(
            f"  {slope.name:36} in {slope.growing:7} {slope.low:>8g} .. {slope.high:<8g} "
            f"time {slope.time:5.2f}  memory {slope.memory:5.2f}  ({slope.device})"
        )


def _print(row: Row) -> None:
    best, peer = "absent", row.against if row.against in row.peer_seconds else row.best
    if peer:
        best = f"{peer} {1e3 * row.peer_seconds[peer]:.3f}"
    least = min(row.peer_megabytes.values(), default=None)
    limit = None if row.limit_seconds is None else 1e3 * row.limit_seconds
    print(
        f"  {row.name:36} {row.size:30} {1e3 * row.seconds:10.3f} {best:>27} "
        f"{_cell(row.time_ratio, 6, '.3f')} {_cell(row.time_goal, 5, 'g')} "
        f"{_cell(limit, 10, '.3f')} {_cell(row.limit_ratio, 6, '.2f')} "
        f"{_cell(row.limit_goal, 5, 'g')} {row.megabytes:9.2f} {_cell(least, 9, '.2f')} "
        f"{_cell(row.memory_ratio, 6, '.3f')} {_cell(row.memory_goal, 5, 'g')}"
    )


def _cell(value: float | None, width: int, form: str) -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"


def _row(task: Task, device: torch.device, *, quick: bool) -> Row:
    sides = {"": task.ours, **task.peers}
    if task.limit is not None:
        sides["limit"] = task.limit
    differences = _differences(task)
    found = race(sides, 0.05 if quick else task.seconds, device, 0 if quick else task.rest)
    light = {**sides, **task.light}
    held = {name: megabytes(light[name], device) for name in sides if name != "limit"}
    limit = found.pop("limit", None)
    ours, memory = found.pop(""), held.pop("")
    best = min(found, key=found.__getitem__, default=None)
    growing, value = task.growth or (None, None)
    return Row(
        group=task.group,
        name=task.name,
        size=task.size,
        device=device.type,
        seconds=ours,
        megabytes=memory,
        peer_seconds=found,
        peer_megabytes=held,
        limit_seconds=None if limit is None else limit * task.limit_repeats,
        difference=None if best is None else differences.get(best),
        time_goal=None if quick else task.time_goal,
        memory_goal=None if quick else task.memory_goal,
        limit_goal=None if quick else task.limit_goal,
        growing=growing,
        value=value,
        against=task.against,
    )


def _differences(task: Task) -> dict[str, float]:
    """Return by how much the libraries' values differ from ours, relative to theirs.

    Raises:
        ValueError: A library computes something else: its time would say nothing.
    """
    if task.tolerance is None:
        return {}
    mine, found = float(task.ours()), {}
    for peer, work in task.peers.items():
        theirs = float(work())
        found[peer] = abs(mine - theirs) / max(abs(theirs), 1e-12)
        if not found[peer] <= task.tolerance:
            raise ValueError(
                f"{peer} must compute what is timed beside it, {task.name} at {task.size}, got "
                f"{theirs:g} where ours is {mine:g}. Mend how it is called."
            )
    return found
