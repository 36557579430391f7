"""Threads that share rows, not operations: what is computed for a row stays in one core's cache.

Torch's threads share every operation and wait for each other after it, and what one of them
wrote, the other reads from a cache that may be far. In a crew each thread takes its own rows
through all operations, alone.
"""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch

Member = TypeVar("Member")
Part = TypeVar("Part")


class Crew(Generic[Member]):
    """Members of a crew, each of whom works in a thread of its own.

    Args:
        recruit: Makes a member.
        device: Where the rows are; elsewhere than on a processor a single member works.
    """

    def __init__(self, recruit: Callable[[], Member], device: torch.device) -> None:
        self.recruit, self.members = recruit, [recruit()]
        self.threads = torch.get_num_threads() if device.type == "cpu" else 1

    def each(
        self, parts: Sequence[Part], work: Callable[[Member, Part], Any], *, alone: bool
    ) -> list[Any]:
        """Return what the work returns for each part; its number decides which member does it.

        Args:
            parts: Rows, or whatever comes in parts.
            work: Done without gradients.
            alone: Whether the first member does it all in this thread, as is best for little.
        """
        count = 1 if alone else min(self.threads, len(parts))
        while len(self.members) < count:
            self.members.append(self.recruit())

        @torch.no_grad()
        def share(number: int) -> list[Any]:
            return [work(self.members[number], part) for part in parts[number::count]]

        if count <= 1:
            return share(0)
        found: list[Any] = [None] * len(parts)
        before = torch.get_num_threads()
        try:
            for number, several in enumerate(_pool(self.threads).map(share, range(count))):
                found[number::count] = several
        finally:  # threads that are yet to come start with what was set last
            torch.set_num_threads(before)
        return found


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # New threads would often start on one core; those that have worked keep to theirs.
    return ThreadPoolExecutor(threads, "crew", initializer=torch.set_num_threads, initargs=(1,))


if hasattr(os, "register_at_fork"):  # threads are not there in a child
    os.register_at_fork(after_in_child=_pool.cache_clear)
