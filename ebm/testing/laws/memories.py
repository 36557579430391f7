"""Laws of memories: read before they are written, written back to where they were read."""

import copy
from typing import Any

import torch

from ebm.testing.inputs import View
from ebm.testing.law import Violation, law
from ebm.testing.strategies import Case
from ebm.traits import Trait


class Store:
    """A memory under test: a replay of chains, or a queue of rows.

    Args:
        memory: The memory; every law works on a copy.
        dim: The dimension of its rows.
        name: How reports call it.
    """

    def __init__(self, memory: Any, dim: int = 2, name: str | None = None) -> None:
        self.memory, self.dim = memory, dim
        self.name = name or type(memory).__name__
        self.inputs = (View(dim),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()


def _replays(store: Any) -> str | None:
    return None if hasattr(store.memory, "draw") else "it draws no chains"


def _queues(store: Any) -> str | None:
    return None if hasattr(store.memory, "rows") else "it holds no rows"


@law(
    applies=_replays,
    small=False,
    kinds=("gaussian",),
    share=0.1,
    scale="none: rows are equal",
    conditions="no restarts",
)
def frozen_chains_keep_their_slots(store: Any, case: Case, claim: Any) -> None:
    """Chains that do not move are all still there, once each, however often they are drawn."""
    memory = copy.deepcopy(store.memory)
    memory.restart = 0.0
    n = max(2, memory.capacity // 4)
    generator = case.generator()
    seen = []
    for _ in range(memory.capacity // n):
        starts = torch.randn(n, store.dim, generator=generator)
        chains, slots = memory.draw(starts, generator)
        memory.stage(slots, chains)
        memory.commit()
        seen.append(chains)
    before = {tuple(row) for row in torch.cat(seen).tolist()}
    for _ in range(40):
        chains, slots = memory.draw(torch.randn(n, store.dim, generator=generator), generator)
        memory.stage(slots, chains)
        memory.commit()
    after = {tuple(row) for row in memory.chains[: memory.capacity // n * n].tolist()}
    lost = len(before - after)
    if lost:
        message = f"{lost} of {len(before)} chains are lost after 40 draws of frozen chains."
        raise Violation(message, lost, 0.0)


@law(applies=_replays, small=False, kinds=("gaussian",), share=0.1, scale="none: slots differ")
def no_slot_twice(store: Any, case: Case, claim: Any) -> None:
    """One draw takes no slot twice: two chains would be written to one place."""
    memory = copy.deepcopy(store.memory)
    n = max(2, memory.capacity // 2)
    for _ in range(4):
        starts = torch.randn(n, store.dim, generator=case.generator())
        chains, slots = memory.draw(starts, case.generator())
        if len(set(slots.tolist())) < len(slots):
            raise Violation(f"{len(slots) - len(set(slots.tolist()))} slots are drawn twice.")
        memory.stage(slots, chains)
        memory.commit()


@law(applies=_replays, small=False, kinds=("gaussian",), share=0.1, scale="the starts, exactly")
def full_restart_is_fresh(store: Any, case: Case, claim: Any) -> None:
    """With restart 1 every chain begins at its fresh start."""
    memory = copy.deepcopy(store.memory)
    memory.restart = 1.0
    n = max(2, memory.capacity // 2)
    for _ in range(4):
        starts = torch.randn(n, store.dim, generator=case.generator())
        chains, slots = memory.draw(starts, case.generator())
        error = float((chains - starts).abs().max())
        if error > 0:
            raise Violation("a restarted chain is not its start.", error, 0.0)
        memory.stage(slots, chains + 5)
        memory.commit()


@law(applies=_queues, small=False, kinds=("gaussian",), share=0.2, scale="none: rows are equal")
def read_before_written(store: Any, case: Case, claim: Any) -> None:
    """What is staged is not among the rows until it is committed, and then it is."""
    memory = copy.deepcopy(store.memory)
    rows = torch.nn.functional.normalize(
        torch.randn(4, store.dim, generator=case.generator()), dim=1
    )
    memory.stage(rows)
    if _holds(memory.rows, rows):
        raise Violation("staged rows are read before the step was scored.")
    memory.commit()
    if not _holds(memory.rows, rows):
        raise Violation("committed rows are not in the memory.")


def _holds(table: torch.Tensor, rows: torch.Tensor) -> bool:
    return bool((torch.cdist(rows, table).amin(dim=1) < 1e-5).all())


LAWS = (
    frozen_chains_keep_their_slots,
    no_slot_twice,
    full_restart_is_fresh,
    read_before_written,
)
