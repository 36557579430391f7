"""Memory: buffers that a step reads, and that are written after it was scored."""

from typing import Any

import torch
from torch import nn


class Memory(nn.Module):
    """Buffers that outlive a step.

    `terms` reads the buffers and calls `stage(...)` with what is to be written; `fit` calls
    `commit()` once the step is done, so that nothing is scored against itself.
    """

    def stage(self, *values: Any) -> None:
        """Hold values until `commit`; a second call before it replaces them."""
        self._staged = values

    def commit(self) -> None:
        """Write what was staged, if anything."""
        staged, self._staged = getattr(self, "_staged", None), None
        if staged is not None:
            self.write(*staged)

    def write(self, *values: Any) -> None:
        """Write the staged values into the buffers."""
        raise NotImplementedError(f"{type(self).__name__} must define write(self, *values).")


def late_buffer(module: nn.Module, name: str, dtype: torch.dtype | None = None) -> None:
    """Register an empty buffer; the first data, or a saved state, give its shape and dtype."""
    module.register_buffer(name, torch.empty(0, dtype=dtype))

    def size(owner: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        saved, current = state.get(prefix + name), getattr(owner, name)
        if saved is not None and current.numel() == 0:
            setattr(owner, name, torch.empty_like(saved, device=current.device))

    module.register_load_state_dict_pre_hook(size)
