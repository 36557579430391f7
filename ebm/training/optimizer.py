"""The optimizer of a run, its schedule, and what of both a checkpoint holds."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

LEARNING_RATE = 1e-3


def optimizer_of(method: nn.Module, given: Any) -> Optimizer:
    """Return the optimizer that was given, or that a callable makes; Adam otherwise.

    Raises:
        TypeError: It is a word, a class, or something else.
    """
    if isinstance(given, Optimizer):
        return given
    if given is not None and (isinstance(given, type) or not callable(given)):
        named = given.__name__ if isinstance(given, type) else "Adam"
        raise TypeError(
            f"optimizer must be an optimizer, or make one of the method, got {given!r}. "
            f"Pass optimizer=lambda m: torch.optim.{named}(m.parameters(), lr=1e-3)."
        )
    trainable = [p for p in method.parameters() if p.requires_grad]
    made: Any = trainable if given is None else given(method)
    return made if isinstance(made, Optimizer) else torch.optim.Adam(made, lr=LEARNING_RATE)


def schedule_of(optimizer: Optimizer, given: Callable[[Optimizer], Any] | None) -> Any:
    """Return the scheduler that a callable makes of the optimizer, or None.

    Raises:
        TypeError: It makes something else.
    """
    if given is None:
        return None
    made = given(optimizer) if callable(given) else given
    if not (hasattr(made, "step") and hasattr(made, "state_dict")):
        raise TypeError(
            f"schedule must map an optimizer to a torch scheduler, got {type(made).__name__}. "
            "Pass schedule=ebm.training.warmup_cosine(steps=1_000, warmup=100), for example."
        )
    return made


def refuse_other_settings(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Refuse to go on with another optimizer than the run's: its state would be misread.

    Raises:
        ValueError: Its groups or settings are others.
    """
    groups, before = optimizer.param_groups, saved.get("param_groups", [])
    sizes, sizes_before = ([len(g["params"]) for g in each] for each in (groups, before))
    if sizes != sizes_before:
        raise ValueError(
            f"optimizer must be the run's own to resume it, got groups of {sizes} parameters "
            f"instead of {sizes_before}. Make it as for the run."
        )
    for group, old in zip(groups, before, strict=True):
        scheduled = "initial_lr" in old or "initial_lr" in group
        if scheduled:  # the other settings move with the schedule
            group, old = ({"lr": g.get("initial_lr", g["lr"])} for g in (group, old))
        differ = [
            f"{k}={v} instead of {old.get(k, 'none')}"
            for k, v in group.items()
            if k != "params" and old.get(k) != v
        ]
        if differ:
            raise ValueError(
                f"optimizer must be the run's own to resume it, got {', '.join(differ)}. Repeat "
                "its options, or load the checkpoint with ebm.load and start another run."
            )
