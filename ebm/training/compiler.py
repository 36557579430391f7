"""The compiler, where there is one."""

import warnings
from typing import Any

import torch
from torch import nn

from ebm.training.alarm import Alarm


def compiled(module: nn.Module, device: torch.device) -> Any:
    """Return the module compiled, or as it is, with a line that says why."""
    try:
        torch.compile(_probe)(torch.ones(2, device=device))
    except Exception as error:  # a missing compiler, Triton or Python header: torch has many ways
        said = (str(error).split("\n") or [""])[0]
        warnings.warn(
            f"compile=True must find a compiler for {device.type}, got {type(error).__name__}: "
            f"{said[:120]} Training goes on without it; see docs/training.md.",
            Alarm,
            stacklevel=2,
        )
        return module
    return torch.compile(module)


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1
