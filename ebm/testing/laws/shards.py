"""The law of many processes: together they compute what one would."""

from collections.abc import Callable
from typing import Any

from ebm.testing.distributed import TOLERANCE, check_distributed
from ebm.testing.inputs import View
from ebm.testing.law import law
from ebm.testing.strategies import Case
from ebm.traits import Trait


class Spread:
    """A loss of views over several processes, under test.

    Args:
        build: Makes the loss; other processes have to be able to import it.
        views: How many views it takes.
        name: How reports call it.
    """

    def __init__(self, build: Callable[[], Any], views: int = 2, name: str | None = None) -> None:
        self.build, self.views = build, views
        self.name = name or getattr(build, "__name__", type(build).__name__)
        self.inputs = (View(),) * views
        self.least = 2
        self.traits: tuple[Trait, ...] = ()


@law(
    small=False,
    kinds=("gaussian",),
    share=0.01,
    scale=f"the largest gradient of all parameters; {TOLERANCE:g} of it, in float64",
    conditions="two processes with different data, gloo; it takes seconds",
)
def many_processes_are_one(spread: Any, case: Case, claim: Any) -> None:
    """Loss and gradient over processes are those of one process on the whole batch."""
    check_distributed([spread.build], views=spread.views, seed=case.seed)


LAWS = (many_processes_are_one,)
