"""Counted randomness: every draw follows from the seed and a count, so none is saved."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Leave the caller's random state as it was."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        yield
