"""Metrics: numbers worth watching that a step does not minimize.

Any energy, term or method may note some while a step is scored; `fit` keeps them in its
history, beside the terms and out of their sum. Where nobody watches, noting does nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_watchers: list[dict[str, Tensor]] = []


@contextmanager
def watching() -> Iterator[dict[str, Tensor]]:
    """Collect what is noted inside, the last number of each name."""
    found: dict[str, Tensor] = {}
    _watchers.append(found)
    try:
        yield found
    finally:
        _watchers.pop()


def watched() -> bool:
    """Return whether somebody watches, for metrics that cost something."""
    return bool(_watchers)


def note(name: str, value: Tensor) -> None:
    """Tell whoever watches a number of this step, ()."""
    if _watchers:
        _watchers[-1][name] = value.detach()
