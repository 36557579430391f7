"""Batches: tensors, arrays, data sets and loaders as tuples of tensors on the device."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ebm import checks
from ebm.training import randomness

Batch = tuple[Tensor, ...]
CHUNK_BYTES = 2**26


class Batches:
    """The batches of each epoch, in an order that the seed and the epoch determine.

    `batch_size` counts the examples over all processes; each takes its share of every
    batch. A ragged last batch is left out, unless it is the only one.
    """

    def __init__(
        self, data: Any, batch_size: int, *, seed: int, like: Tensor | None, fabric: Any
    ) -> None:
        checks.count("batch_size", batch_size)
        self.seed, self.fabric = seed, fabric
        self.dtype = None if like is None else like.dtype
        self.world, self.rank = fabric.world_size, fabric.global_rank
        if batch_size % self.world:
            raise ValueError(
                f"batch_size must be divisible by the {self.world} processes, got "
                f"batch_size={batch_size}. It counts the examples over all of them."
            )
        self.tensors: Batch = ()
        self.loader: DataLoader[Any] | None = None
        self.dataset: Dataset[Any] | None = None
        if isinstance(data, DataLoader):
            self.loader = fabric.setup_dataloaders(data, move_to_device=False)
        elif isinstance(data, IterableDataset):
            loader = DataLoader(data, batch_size=batch_size // self.world)
            self.loader = fabric.setup_dataloaders(loader, move_to_device=False)
        elif isinstance(data, Dataset):
            self.dataset = data
            self.count = _nonempty(len(data))  # pyright: ignore[reportArgumentType]
        else:
            self.tensors = tuple(fabric.to_device(x) for x in _tensors(data, self.dtype))
            self.count = _nonempty(len(self.tensors[0]))
        if self.loader is None:
            self.size = min(batch_size, self.count // self.world * self.world)
            _nonempty(self.size)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """Yield this process's batches of an epoch, from batch `skip` on."""
        if self.loader is not None:
            randomness.start(self.seed, "order", number)
            yield from map(self._ready, itertools.islice(self.loader, skip, None))
            return
        generator = randomness.generator(self.seed, "order", number)
        order = torch.randperm(self.count, generator=generator)
        starts = range(0, self.count - self.size + 1, self.size)
        share = self.size // self.world
        mine = [order[s + self.rank * share : s + (self.rank + 1) * share] for s in starts[skip:]]
        if self.tensors:
            for rows in mine:
                yield tuple(x[rows.to(x.device)] for x in self.tensors)
        else:
            loader = DataLoader(self.dataset, batch_sampler=[r.tolist() for r in mine])  # pyright: ignore[reportArgumentType]
            yield from map(self._ready, loader)

    def __iter__(self) -> Iterator[Batch]:
        """Yield this process's plain batches in their own order, for sweeps."""
        if self.tensors:
            row = max(1, sum(x[0].numel() * x.element_size() for x in self.tensors))
            mine = [x[self.rank :: self.world] for x in self.tensors]
            rows = max(1, CHUNK_BYTES // row)
            for start in range(0, len(mine[0]), rows):
                yield tuple(x[start : start + rows] for x in mine)
        elif self.dataset is not None:
            rows = range(self.rank, self.count, self.world)
            chunks = [list(rows[s : s + self.size]) for s in range(0, len(rows), self.size)]
            yield from map(self._ready, DataLoader(self.dataset, batch_sampler=chunks))
        else:
            yield from self.epoch(0)

    def _ready(self, batch: Any) -> Batch:
        return tuple(self.fabric.to_device(x) for x in _tensors(batch, self.dtype, whole=False))


def _tensors(data: Any, dtype: torch.dtype | None, *, whole: bool = True) -> Batch:
    parts = data if isinstance(data, tuple | list) else (data,)
    if not parts or not all(isinstance(x, Tensor | np.ndarray) for x in parts):
        kinds = ", ".join(type(x).__name__ for x in parts) or "nothing"
        raise TypeError(
            f"data must be a tensor, an array, a tuple of them, a Dataset or a DataLoader, "
            f"got {kinds}. Wrap it in torch.as_tensor."
        )
    tensors = tuple(_as_tensor(f"data[{i}]", x, dtype) for i, x in enumerate(parts))
    lengths = [len(x) for x in tensors]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"data must be tensors of one length, got lengths {lengths}. Row i of each "
            "belongs to example i."
        )
    for i, x in enumerate(tensors if whole else ()):
        bad = 0 if not x.is_floating_point() else int((~x.isfinite()).flatten(1).any(1).sum())
        if bad:
            raise ValueError(
                f"data must be finite, got NaN or infinity in {bad} of {len(x)} rows of "
                f"data[{i}]. Remove or impute them first."
            )
    return tensors


def _as_tensor(name: str, x: Tensor | np.ndarray, dtype: torch.dtype | None) -> Tensor:
    x = torch.as_tensor(x)
    if x.ndim == 0:
        raise ValueError(f"{name} must have a batch axis, got shape (). Call .reshape(1, -1).")
    if x.dtype == torch.uint8:
        raise TypeError(f"{name} must be floating point, got uint8. Divide it by 255.")
    if x.is_floating_point() and dtype is not None:
        x = x.to(dtype)
    return x.detach() if x.ndim > 1 else x.detach().clone()


def _nonempty(rows: int) -> int:
    if rows < 1:
        raise ValueError(
            f"data must hold at least one example for each process, got {rows}. "
            "Check the path or the filter that made it."
        )
    return rows
