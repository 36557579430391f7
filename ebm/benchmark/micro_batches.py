"""Micro-batches: large batches beside the memory and the time of the plain step.

SimCLR's loss over a small ViT, forward and backward, in float32: the plain step of a small and
of a large batch, the large one in pieces of the small one's size, and the large one with each
layer recomputed. Memory is the peak that torch's allocator counts, gradients included; the
difference is that of all gradients from the plain step's, in units of the largest of them.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ebm import networks, terms
from ebm.benchmark.memory import peak


@dataclass(frozen=True)
class Row:
    """One way to take a step on a batch."""

    way: str
    batch: int
    megabytes: float
    seconds: float
    difference: float | None
    """Of the gradients from the plain step's."""


def run(*, quick: bool = False, done: Sequence[Row] = ()) -> Iterator[Row]:
    """Measure a step of each kind that is not done."""
    small, large, size = (16, 128, 8) if quick else (256, 4096, 16)
    whole = _gradients(_encoder(size), large, size)
    piecewise = f"in pieces of {small}"
    for way, batch, wrap in (
        ("plain", small, _same),
        ("plain", large, _same),
        (piecewise, large, lambda network: networks.MicroBatched(network, small)),
        ("layers recomputed", large, _recomputed),
    ):
        known = [row for row in done if (row.way, row.batch) == (way, batch)]
        if known:
            yield known[0]
            continue
        network = wrap(_encoder(size))
        megabytes = peak(lambda n=network, b=batch: _step(n, b, size))
        started = time.perf_counter()
        found = _gradients(wrap(_encoder(size)), batch, size)
        seconds = time.perf_counter() - started
        difference = _difference(found, whole) if batch == large else None
        yield Row(way, batch, megabytes, seconds, difference)


def print_table(rows: Sequence[Row]) -> None:
    """Print the ways."""
    print(f"{'step':<22}{'batch':>6}{'peak MB':>10}{'seconds':>9}{'difference':>12}")
    for row in rows:
        difference = "" if row.difference is None else f"{row.difference:.1e}"
        print(
            f"{row.way:<22}{row.batch:>6}{row.megabytes:>10.1f}{row.seconds:>9.2f}"
            f"{difference:>12}".rstrip()
        )


def _encoder(size: int) -> networks.ViT:
    torch.manual_seed(0)
    return networks.ViT(1, size, patch=size // 4, features=32, depth=4, heads=2)


def _same(network: nn.Module) -> nn.Module:
    return network


def _recomputed(network: networks.ViT) -> nn.Module:
    for i, layer in enumerate(network.layers):
        network.layers[i] = networks.Recomputed(layer)
    return network


def _step(network: nn.Module, batch: int, size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 1, size, size, generator=generator)
    y = x + 0.5 * torch.randn(x.shape, generator=generator)
    terms.NTXent()(network(x), network(y)).mean().backward()


def _gradients(network: nn.Module, batch: int, size: int) -> list[Tensor]:
    _step(network, batch, size)
    return [p.grad for p in network.parameters() if p.grad is not None]


def _difference(found: Sequence[Tensor], whole: Sequence[Tensor]) -> float:
    largest = max(float(g.abs().max()) for g in whole)
    return max(float((a - b).abs().max()) for a, b in zip(found, whole, strict=True)) / largest
