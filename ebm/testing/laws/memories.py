"""Laws of memories: read before written, written where read, moved by the share they state."""

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


def _teaches(store: Any) -> str | None:
    return None if hasattr(store.memory, "network") else "it is no teacher"


@law(
    applies=_teaches,
    small=False,
    kinds=("gaussian",),
    share=0.1,
    scale="the largest parameter",
    conditions="the student moved before the step, and moves again after it",
)
def teacher_follows_slowly(store: Any, case: Case, claim: Any) -> None:
    """A teacher moves to momentum * teacher + (1 - momentum) * student, after the step alone."""
    memory = copy.deepcopy(store.memory)
    student, generator = copy.deepcopy(memory.network).requires_grad_(), case.generator()
    for p in student.parameters():
        with torch.no_grad():
            p.add_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
    x = torch.randn(4, store.dim, generator=generator)
    before = [p.detach().clone() for p in memory.network.parameters()]
    if memory(x.requires_grad_()).requires_grad or any(
        p.requires_grad for p in memory.parameters()
    ):
        raise Violation("the teacher's output carries a gradient. Call it under no_grad.")
    memory.stage(student)
    kept = all(map(torch.equal, before, memory.network.parameters()))
    if not kept:
        raise Violation("the teacher moved before the step was done. Write in commit.")
    memory.commit()
    m = memory.momentum
    for old, new, other in zip(
        before, memory.network.parameters(), student.parameters(), strict=True
    ):
        error = float((new - (m * old + (1 - m) * other)).detach().abs().max())
        allowed = 32 * torch.finfo(new.dtype).eps * float(old.abs().max() + other.abs().max())
        if error > allowed:
            raise Violation(f"at momentum {m:g} the teacher moves otherwise.", error, allowed)
        followed = new.detach().clone()
        with torch.no_grad():
            other.add_(1.0)
        if not torch.equal(followed, new):
            raise Violation("the teacher is the student: it shares its parameters. Copy it.")


def _averages(store: Any) -> str | None:
    return None if isinstance(getattr(store.memory, "value", None), torch.Tensor) else "it has none"


@law(applies=_averages, small=False, kinds=("gaussian",), share=0.1, scale="the largest value")
def average_moves_by_its_share(store: Any, case: Case, claim: Any) -> None:
    """An average moves to momentum * average + (1 - momentum) * batch, after the step alone."""
    memory = copy.deepcopy(store.memory)
    expected = memory.value.clone()
    for _ in range(3):
        value = torch.randn(expected.shape, generator=case.generator()) + 3
        memory.stage(value)
        if not torch.equal(memory.value, memory.value.clone().copy_(expected)):
            raise Violation("the average moved before the step was done. Write in commit.")
        memory.commit()
        expected = memory.momentum * expected + (1 - memory.momentum) * value
        error = float((memory.value - expected).abs().max())
        allowed = 32 * torch.finfo(expected.dtype).eps * float(value.abs().max())
        if error > allowed:
            message = f"at momentum {memory.momentum:g} the average moves otherwise."
            raise Violation(message, error, allowed)
        expected = memory.value.clone()


def _banks(store: Any) -> str | None:
    return None if hasattr(store.memory, "others") else "it has no row for each example"


@law(
    applies=_banks,
    small=False,
    kinds=("gaussian",),
    share=0.1,
    scale="none: rows are equal, lengths within 1e-5",
)
def bank_keeps_each_example(store: Any, case: Case, claim: Any) -> None:
    """A bank moves the rows of the batch alone, keeps them unit, and no row is its own negative."""
    memory = copy.deepcopy(store.memory)
    generator = case.generator()
    indices = torch.randperm(len(memory.rows), generator=generator)[:4]
    rows = torch.nn.functional.normalize(torch.randn(4, store.dim, generator=generator), dim=1)
    before = memory.rows.clone()
    memory.stage(indices, rows)
    if not torch.equal(before, memory.rows):
        raise Violation("the bank was written before the step was done. Write in commit.")
    memory.commit()
    moved = (memory.rows != before).any(dim=1).nonzero().flatten().tolist()
    if set(moved) - set(indices.tolist()):
        raise Violation(f"rows {moved} moved, the batch was {indices.tolist()}.")
    near = (memory.rows[indices] * rows).sum(1) - (before[indices] * rows).sum(1)
    if not bool((near > -1e-5).all()):
        raise Violation("a row moved away from its own embedding.", float(-near.min()), 1e-5)
    off = float((memory.rows.norm(dim=1) - 1).abs().max())
    if off > 1e-5:
        raise Violation("a row is no longer of length one.", off, 1e-5)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(case.seed)
        negatives = memory.others(indices, 200)
    own = (negatives - memory.rows[indices][:, None]).abs().amax(dim=2) == 0
    if bool(own.any()):
        raise Violation("an example's own row is among its negatives.")


LAWS = (
    frozen_chains_keep_their_slots,
    no_slot_twice,
    full_restart_is_fresh,
    read_before_written,
    teacher_follows_slowly,
    average_moves_by_its_share,
    bank_keeps_each_example,
)
