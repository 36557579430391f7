"""Views: how many a second, in batches and one picture at a time.

Each recipe makes views of color pictures of 32 x 32, every picture with its own draw. Both
columns run the same modules, on as many threads as torch has; the times are medians. Memory
is the peak of one batch as torch's allocator counts it, the pictures themselves not.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ebm import views
from ebm.benchmark.memory import peak


@dataclass(frozen=True)
class Row:
    """One recipe."""

    recipe: str
    side: int
    """Height and width of the pictures."""
    batch: int
    """Pictures at a time."""
    a_second: float
    """Views made in a second."""
    singly: float
    """The same with one picture at a time."""
    megabytes: float
    """Peak of one batch."""


SIDE = 32


def recipes() -> dict[str, tuple[nn.Module, int]]:
    """Return the recipes that are measured, with the views that each makes of a picture."""
    return {
        "SimCLR, with blur": (views.Recipe.simclr(SIDE), 1),
        "SimCLR for CIFAR-10": (views.Recipe.simclr(SIDE, strength=0.5, blur=0.0), 1),
        "MoCo v2": (views.Recipe.moco(SIDE), 1),
        "BYOL, both": (views.byol(SIDE), 2),
        "SwAV, 2 + 6": (views.multi_crop(SIDE, SIDE // 2), 8),
        "DINO, 2 + 8": (views.dino(SIDE, SIDE // 2), 10),
    }


def run(*, quick: bool = False) -> Iterator[Row]:
    """Yield the rows, measured one after another.

    Args:
        quick: Small batches, a few times.
    """
    batch, repeats = (32, 2) if quick else (256, 11)
    pictures = torch.rand(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for name, (recipe, count) in recipes().items():
        together = _seconds(recipe, [pictures], repeats)
        singly = _seconds(recipe, list(pictures[:32].split(1)), 2 if quick else 3)
        used = peak(lambda recipe=recipe: recipe(pictures))
        yield Row(name, SIDE, batch, count * batch / together, count * 32 / singly, used)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(f"{'recipe':20} {'side':>4} {'batch':>5} {'views/s':>8} {'singly':>7} {'MB':>5}")
    for row in rows:
        print(
            f"{row.recipe:20} {row.side:4} {row.batch:5} {row.a_second:8.0f} {row.singly:7.0f} "
            f"{row.megabytes:5.0f}"
        )


def _seconds(make: Callable[[Tensor], object], batches: Sequence[Tensor], repeats: int) -> float:
    """Return the median time of passing over the batches."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        for batch in batches:
            make(batch)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])  # the first pays for threads and caches
