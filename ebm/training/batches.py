"""Batches: tensors, arrays, data sets and loaders as tuples of tensors on the device."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ebm import checks
from ebm.training import randomness
from ebm.training.fault import Fault, reason

Batch = tuple[Tensor, ...]
CHUNK_BYTES = 2**26
DEVICE_SHARE = 0.5
"""Of a device's free memory, what data may take to live there; the rest is for training."""


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
        self.loader: Any = None
        self.dataset: Dataset[Any] | None = None
        self.count = self.size = 0
        if isinstance(data, DataLoader):
            self.loader = fabric.setup_dataloaders(data, move_to_device=False)
        elif isinstance(data, IterableDataset):
            loader = DataLoader(data, batch_size=batch_size // self.world)
            self.loader = fabric.setup_dataloaders(loader, move_to_device=False)
        elif isinstance(data, Dataset):
            self.dataset = data
            self.count = _nonempty(len(data))  # pyright: ignore[reportArgumentType]
        else:
            self.tensors = _placed(_tensors(data, self.dtype), fabric.device)
            self.count = _nonempty(len(self.tensors[0]))
        if self.loader is None:
            self.size = min(batch_size, self.count // self.world * self.world)
            _nonempty(self.size)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """Yield this process's batches of an epoch, from batch `skip` on.

        Raises:
            Fault: The data raise.
        """
        if self.loader is not None:
            self.loader._num_iter_calls = number  # what Fabric sets a sampler's epoch to
            yield from self._read(self.loader, number, skip)
            return
        generator = randomness.generator(self.seed, "order", number)
        order = torch.randperm(self.count, generator=generator)
        starts = range(0, self.count - self.size + 1, self.size)
        share = self.size // self.world
        if self.tensors:
            order = order.to(self.tensors[0].device)  # once: a copy in a step would wait for it
        mine = [order[s + self.rank * share : s + (self.rank + 1) * share] for s in starts[skip:]]
        if self.tensors:
            for rows in mine:
                yield self._moved(tuple(x[rows] for x in self.tensors))
        else:
            loader = self._loader([rows.tolist() for rows in mine])
            yield from self._read(loader, number, first=skip)

    def __iter__(self) -> Iterator[Batch]:
        """Yield this process's plain batches in their own order, for sweeps.

        The processes' rows, one process after another, are all the data in their order, and
        each process yields as many batches.

        Raises:
            Fault: The data raise.
        """
        if self.tensors:
            row = max(1, sum(x[0].numel() * x.element_size() for x in self.tensors))
            for rows in self._shares(max(1, CHUNK_BYTES // row)):
                yield self._moved(tuple(x[rows] for x in self.tensors))
        elif self.dataset is not None:
            chunks = [list(range(self.count)[rows]) for rows in self._shares(self.size)]
            yield from randomness.apart(self._read(self._loader(chunks), 0))
        else:
            yield from randomness.apart(self.epoch(0))

    def _shares(self, rows: int) -> list[slice]:
        """Return this process's rows in pieces of at most so many, as many on every process."""
        edges = [self.count * rank // self.world for rank in range(self.world + 1)]
        start, end = edges[self.rank], edges[self.rank + 1]
        pieces = -(-max(b - a for a, b in itertools.pairwise(edges)) // rows)
        cuts = [start + (end - start) * piece // pieces for piece in range(pieces + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(cuts)]

    def _loader(self, rows: list[list[int]]) -> DataLoader[Any]:
        pinned = self.fabric.device.type == "cuda"
        return DataLoader(self.dataset, batch_sampler=rows, pin_memory=pinned)  # pyright: ignore[reportArgumentType]

    def _read(
        self, loader: Iterable[Any], epoch: int, skip: int = 0, *, first: int = 0
    ) -> Iterator[Batch]:
        """Yield batches of a loader; each draws from its own count, however the run came here."""
        source: Iterator[Any] | None = None
        number = first
        while True:
            try:
                if source is None:
                    randomness.start_data(self.seed, "order", epoch)
                    source = iter(loader)
                if loader is not self.loader or number > 0:  # the first one draws the order
                    randomness.start_data(self.seed, "batch", epoch, number, self.rank)
                batch = next(source)
            except StopIteration:
                return
            except Exception as error:
                raise Fault(
                    f"data must yield every batch, got {reason(error)} at batch {number} of "
                    f"epoch {epoch}. Mend the data."
                ) from error
            if number >= skip:
                yield self._ready(batch)
            number += 1

    def _ready(self, batch: Any) -> Batch:
        return self._moved(_tensors(batch, self.dtype, whole=False))

    def _moved(self, batch: Batch) -> Batch:
        """Return a batch on the device; from pinned memory the copy does not wait."""
        device = self.fabric.device
        if device.type == "cuda":
            batch = tuple(x.pin_memory() if x.device.type == "cpu" else x for x in batch)
        return tuple(x if x.device == device else self.fabric.to_device(x) for x in batch)


def _placed(tensors: Batch, device: torch.device) -> Batch:
    """Return data on the device if they fit there with room to train, else where they are."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        elsewhere = sum(x.numel() * x.element_size() for x in tensors if x.device != device)
        if elsewhere > DEVICE_SHARE * free:
            return tensors
    return tuple(x.to(device) for x in tensors)


def _tensors(data: Any, dtype: torch.dtype | None, *, whole: bool = True) -> Batch:
    parts = data if isinstance(data, tuple | list) else (data,)
    if not parts or not all(isinstance(x, Tensor | np.ndarray) for x in parts):
        kinds = ", ".join(dict.fromkeys(type(x).__name__ for x in parts)) or "nothing"
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
        checks.finite(f"data[{i}]", x)
    return tensors


def _as_tensor(name: str, x: Tensor | np.ndarray, dtype: torch.dtype | None) -> Tensor:
    try:
        x = torch.as_tensor(x)
    except TypeError as error:
        raise TypeError(
            f"{name} must hold numbers, got an array of {x.dtype}. Call .astype('float32') on it."
        ) from error
    if x.ndim == 0:
        raise ValueError(f"{name} must have a batch axis, got shape (). Call .reshape(1, -1).")
    if 0 in x.shape[1:]:
        raise ValueError(
            f"{name} must hold at least one number for each example, got shape "
            f"{tuple(x.shape)}. Check what made it."
        )
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
