"""A cohort: one method trained by several processes, and by one on the whole batch."""

import functools
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import destroy_process_group

from ebm.method import Method
from ebm.testing.inputs import View
from ebm.testing.shared_noise import SharedNoise
from ebm.traits import Trait

LEARNING_RATE = 1e-3

SECONDS = 300
"""After so long a process that waits for another one gives up."""


@dataclass(frozen=True)
class Recruit:
    """What is trained: a method, its data, and the views of a batch."""

    name: str
    build: Callable[[], Method]
    data: Any
    views: Callable[..., Any] | None = None
    batch_size: int = 24


@dataclass(frozen=True)
class Member:
    """What one process has seen: digests of its state after each step, and its last state."""

    digests: list[dict[str, str]]
    state: dict[str, Tensor]


@dataclass
class Cohort:
    """A method as several processes and as one have trained it; what the laws look at."""

    name: str
    members: list[Member]
    alone: Member
    inputs: tuple[View, ...] = (View(2),)
    least: int = 2
    traits: tuple[Trait, ...] = field(default=())


def cohorts(
    recruits: Callable[[], list[Recruit]], *, steps: int = 20, processes: int = 2
) -> list[Cohort]:
    """Return each recruit trained by several processes, with gloo, and by one.

    All runs draw shared noise, so that they can be compared: see `SharedNoise`. Processes
    are started once for all recruits.

    Args:
        recruits: Makes them; other processes have to be able to import it.
        steps: Steps of each run.
        processes: How many processes there are.

    Raises:
        ProcessRaisedException: A process failed; its traceback is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = (processes, free_port(), folder, recruits, steps)
        torch.multiprocessing.spawn(_work, args=work, nprocs=processes)  # pyright: ignore[reportPrivateImportUsage]
        ranks = [torch.load(Path(folder) / f"{rank}.pt") for rank in range(processes)]
    return [
        Cohort(
            recruit.name,
            [Member(*rank[i]) for rank in ranks],
            _trained(recruit, _built(recruit), None, steps, 1),
        )
        for i, recruit in enumerate(recruits())
    ]


def free_port() -> int:
    """Return a port of this machine that nobody listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def joined(rank: int, processes: int, port: int) -> Iterator[Any]:
    """Yield a Fabric of so many gloo processes on this machine, of which this is one."""
    from datetime import timedelta

    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    os.environ.update(
        LOCAL_RANK=str(rank),
        NODE_RANK="0",
        WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    strategy = DDPStrategy(timeout=timedelta(seconds=SECONDS), process_group_backend="gloo")
    yield Fabric(accelerator="cpu", devices=processes, strategy=strategy)
    destroy_process_group()


def _work(
    rank: int,
    processes: int,
    port: int,
    folder: str,
    recruits: Callable[[], list[Recruit]],
    steps: int,
) -> None:
    called_up = [(recruit, _built(recruit)) for recruit in recruits()]  # each process its own
    with joined(rank, processes, port) as fabric:
        made = [_trained(*one, fabric, steps, processes) for one in called_up]
        torch.save([(m.digests, m.state) for m in made], Path(folder) / f"{rank}.pt")


def _built(recruit: Recruit) -> Method:
    torch.manual_seed(0)
    return recruit.build().double()


def _trained(recruit: Recruit, method: Method, fabric: Any, steps: int, processes: int) -> Member:
    from ebm.training.fit import fit

    digests: list[dict[str, str]] = []
    after_step = getattr(method, "after_step", None)

    def noted() -> None:
        if after_step is not None:
            after_step()
        digests.append({name: _digest(value) for name, value in method.state_dict().items()})

    method.after_step = noted  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    with SharedNoise(recruit.batch_size // processes):
        fit(
            method,
            recruit.data,
            views=recruit.views,
            batch_size=recruit.batch_size,
            steps=steps,
            # Adam would blow up the rounding noise of gradients that are zero, such as that
            # of a bias in front of batch norm.
            optimizer=functools.partial(_descent, lr=LEARNING_RATE),
            fabric=fabric,
            seed=0,
            progress=False,
        )
    return Member(digests, {k: v.detach().clone() for k, v in method.state_dict().items()})


def _descent(method: Method, lr: float) -> torch.optim.Optimizer:
    free = [p for p in method.parameters() if p.requires_grad]
    return torch.optim.SGD(free, lr=lr, momentum=0.9)


def _digest(value: Tensor) -> str:
    data = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.blake2b(data.tobytes(), digest_size=8).hexdigest()
