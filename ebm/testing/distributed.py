"""The law of many processes: loss and gradient of two are those of one on the whole batch."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ebm.testing import strategies
from ebm.testing.law import Violation

TOLERANCE = 1e-10
"""Largest error, in float64, relative to the largest gradient of all parameters."""


def check_distributed(
    builds: Sequence[Callable[[], Any]],
    *,
    views: int = 2,
    n: int = 12,
    d: int = 4,
    processes: int = 2,
    seed: int = 0,
) -> None:
    """Raise a violation unless losses are exact over processes.

    Each loss is put over one linear encoder. Its mean, and the parameters' gradient averaged
    over processes with different data (what DDP does), have to equal those of one process on
    the whole batch. Takes seconds: processes are started, with gloo, on this machine.

    Args:
        builds: Callables that make a loss of views, such as `terms.InfoNCE`; other processes
            have to be able to import them.
        views: How many views each takes.
        n: Examples over all processes.
        d: Dimensions.
        processes: How many processes.
        seed: Seed of the data and of the encoder.

    Raises:
        Violation: A loss or a gradient differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = (processes, folder, list(builds), views, n, d, seed)
        torch.multiprocessing.spawn(_work, args=work, nprocs=processes)  # pyright: ignore[reportPrivateImportUsage]
        results = [torch.load(Path(folder) / f"{r}.pt") for r in range(processes)]
    for i, build in enumerate(builds):
        alone = _one(build, _data(views, n, d, seed), d, seed)
        value = torch.stack([result[i][0] for result in results]).mean()
        gradients = [
            torch.stack(g).mean(dim=0) for g in zip(*(r[i][1:] for r in results), strict=True)
        ]
        size = max(float(g.abs().max()) for g in alone[1:])
        pairs = zip([value, *gradients], alone, strict=True)
        for what, (found, expected) in zip(("loss", "gradient", "gradient"), pairs, strict=False):
            scale = size if what == "gradient" else size + float(expected.abs())
            error, allowed = float((found - expected).abs().max()), TOLERANCE * scale
            if not error <= allowed:
                name = getattr(build, "__name__", type(build).__name__)
                message = (
                    f"{name}: the {what} of {processes} processes is not that of one on the whole "
                    "batch. Gather embeddings with ebm.distributed.gather before using them."
                )
                raise Violation(message, error, allowed)


def _data(views: int, n: int, d: int, seed: int) -> list[Tensor]:
    return strategies.matrices("close", views, n, d, seed)


def _one(build: Callable[[], Any], views: Sequence[Tensor], d: int, seed: int) -> list[Tensor]:
    torch.manual_seed(seed)
    encoder = nn.Linear(d, d).double()
    value = build()(*(encoder(view) for view in views)).mean()
    return [value.detach(), *torch.autograd.grad(value, list(encoder.parameters()))]


def _work(
    rank: int, world: int, folder: str, builds: list[Any], views: int, n: int, d: int, seed: int
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=120),
    )
    share = [view.chunk(world)[rank] for view in _data(views, n, d, seed)]
    found = [_one(build, share, d, seed) for build in builds]
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
