"""Counted randomness: every draw follows from the seed and a count, so none is saved."""

import hashlib
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")


def fresh() -> int:
    """Return a seed that nobody chose."""
    return secrets.randbits(31)


def mixed(seed: int, stream: str, *counts: int) -> int:
    """Return the 63-bit seed of one place in one stream of draws."""
    text = repr((seed, stream, counts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def generator(seed: int, stream: str, *counts: int) -> torch.Generator:
    """Return a CPU generator for one place in one stream of draws."""
    return torch.Generator().manual_seed(mixed(seed, stream, *counts))


def start(seed: int, stream: str, *counts: int) -> None:
    """Seed torch's default generators for one place in one stream of draws."""
    value = mixed(seed, stream, *counts)
    # torch.manual_seed takes milliseconds where a device is not initialized: it keeps a stack
    # trace for each kind of device.
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(value)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(value)


def start_data(seed: int, stream: str, *counts: int) -> None:
    """Seed what data sets of users draw from: the host's torch, Python and NumPy."""
    value = mixed(seed, stream, *counts)
    torch.default_generator.manual_seed(value)
    random.seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002


def apart(batches: Iterator[T]) -> Iterator[T]:
    """Yield batches, and leave the random state of whoever takes them as it was."""
    while True:
        state = torch.get_rng_state()
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            torch.set_rng_state(state)
        yield batch


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Leave the caller's random state as it was."""
    devices = [device] if device.type == "cuda" else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
