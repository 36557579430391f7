"""A race: contenders run in turn on the same inputs, and each one's memory is measured.

Each turn is two runs, of which the second is timed: the first takes caches and the allocator
over from the contender before, who may have given the memory back that this one fills.
"""

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ebm.benchmark.memory import MEGABYTE, peak

Work = Callable[[], Any]
"""Runs once, forward and backward; what it returns can be compared."""


@dataclass(frozen=True)
class Task:
    """Something to do, and who does it."""

    group: str
    """terms, samplers, inference, views or training."""
    name: str
    size: str
    """As people say it: N 256, D 8192."""
    ours: Work
    peers: Mapping[str, Work]
    """The other libraries that are here and can do it."""
    limit: Work | None = None
    """What cannot be avoided: matrix products, or the energy's own forward and backward."""
    limit_repeats: int = 1
    """How often the limit's work is done in one piece of ours."""
    light: Mapping[str, Work] = field(default_factory=dict)
    """Less work of the same memory, where the whole would take long to record."""
    time_goal: float | None = None
    """Most that our time over the best peer's should be."""
    against: str | None = None
    """The library that the goal speaks of, where it is not the best."""
    memory_goal: float | None = None
    limit_goal: float | None = None
    """Most that our time over the limit's should be."""
    seconds: float = 2.0
    """About how long the race takes."""
    rest: float = 0.0
    """Seconds before each turn, in which the threads of the one before fall asleep.

    OpenBLAS's keep a core busy for a tenth of a second after their work.
    """
    tolerance: float | None = None
    """Most that values may differ relatively; None where they are different losses."""
    growth: tuple[str, float] | None = None
    """The quantity that grows along rows of one name, and its value."""


def race(
    contenders: Mapping[str, Work], seconds: float, device: torch.device, rest: float = 0.0
) -> dict[str, float]:
    """Return the median time of each contender, all of them run in turn, after a rest each."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():  # the first run pays for threads, caches and compilers
        work()
    for name, work in contenders.items():
        times[name].append(_timed(work, device, rest))
    once = 2 * sum(several[0] for several in times.values())
    rounds = min(max(int(seconds / max(once + rest * len(times), 1e-6)), 2), 400)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, work in contenders.items():
                times[name].append(_timed(work, device, rest))
    finally:
        gc.enable()
    return {name: statistics.median(several) for name, several in times.items()}


def megabytes(work: Work, device: torch.device) -> float:
    """Return the most megabytes held while some work runs, torch's and numpy's."""
    numpy: list[int] = []

    def traced() -> None:
        tracemalloc.start()
        try:
            work()
            numpy.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    return peak(traced, device) + numpy[0] / MEGABYTE


def backward(loss: Callable[..., Tensor], *inputs: Tensor) -> Work:
    """Return the work of a loss: its value and the gradients of its inputs."""

    def work() -> Tensor:
        for x in inputs:
            x.grad = None
        value = loss(*inputs)
        value.backward()
        return value.detach()

    return work


def _timed(work: Work, device: torch.device, rest: float) -> float:
    time.sleep(rest)
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
