"""Monitors: say in words when a run collapses or runs away, while it lasts."""

import warnings
from typing import Any

import torch
from torch import Tensor

from ebm.energy import evaluating
from ebm.method import Method
from ebm.training.alarm import Alarm
from ebm.training.history import History

AWAY = 1e4
"""How many times its size at the start a term may grow before it is said to run away."""
ROWS = 256


class Monitor:
    """Watches the terms and, of methods that embed, the embeddings; says each thing once."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self._said: set[str] = set()
        self._start: dict[str, float] = {}
        self._spread: float | None = None

    def watch(self, history: History, since: int) -> None:
        """Look at the terms since index `since` beside their size when each was first seen."""
        for name, column in history.columns.items():
            values = [abs(value) for value in column[since:] if value == value]
            if not values:
                continue
            size = sum(values) / len(values)
            start = self._start.setdefault(name, max(1.0, size))
            if size > AWAY * start:
                self._say(
                    name,
                    f"{name} runs away: its size is {size:.3g} at step {history.steps[-1]}, where "
                    f"it was {start:.3g}. Lower the learning rate or the sampler's step size.",
                )

    def look(self, batch: tuple[Tensor, ...]) -> None:
        """Look at the embeddings of a batch.

        Many networks start near collapse and leave it. So it is said where a second look
        finds them there still, spread no wider than at the first.
        """
        embed: Any = getattr(self.method, "embed", None)
        if embed is None or "collapse" in self._said or len(batch[0]) < 2:
            return
        from ebm.evaluation.collapse import collapse

        with evaluating(self.method), torch.random.fork_rng([]), torch.no_grad():
            z = embed(batch[0][:ROWS])
        if isinstance(z, Tensor) and z.ndim == 2:
            found = collapse(None, z.float())
            before, self._spread = self._spread, found.deviation if found.complete else None
            if before is not None and found.complete and found.deviation <= before:
                self._say(
                    "collapse",
                    f"{found} This was seen at step {self.method.step}; see "
                    "ebm.evaluation.collapse, and the weights of the terms that spread.",
                )

    def _say(self, thing: str, words: str) -> None:
        if thing not in self._said:
            self._said.add(thing)
            warnings.warn(words, Alarm, stacklevel=2)
