"""What processes send one another: the bytes of every collective, counted as it is called."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

GATHERS = ("allgather_", "_allgather_base_", "allgather_into_tensor_coalesced_")
REDUCTIONS = ("allreduce_",)


class Traffic(TorchDispatchMode):
    """Counts the payload of collectives while it is active, on this process.

    `gathered` and `reduced` are the bytes of what every process holds afterwards: the rows of
    all, or the sum. In a ring of W processes each sends (W - 1) / W of what is gathered and
    2 (W - 1) / W of what is reduced.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gathered = self.reduced = self.calls = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count a collective, and call everything."""
        if func.namespace == "c10d":
            name = func.overloadpacket.__name__
            size = sum(x.numel() * x.element_size() for x in _tensors(args[0]))
            self.calls += 1
            self.gathered += size * (name in GATHERS)
            self.reduced += size * (name in REDUCTIONS)
        return func(*args, **(kwargs or {}))

    def sent(self, world: int) -> float:
        """Return the bytes that each process sends in a ring of so many."""
        return (self.gathered + 2 * self.reduced) * (world - 1) / world


def counted(work: Callable[[], Any]) -> Traffic:
    """Return the traffic of some work."""
    with Traffic() as traffic:
        work()
    return traffic


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for part in value for x in _tensors(part)] if isinstance(value, list | tuple) else []
