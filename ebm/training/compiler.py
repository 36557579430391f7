"""The compiler, where there is one: a method's networks are compiled for the time of a run."""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch._dynamo
from torch import nn

from ebm.energy import Energy
from ebm.memory import Memory
from ebm.method import Method
from ebm.networks import MicroBatched, Recomputed
from ebm.training.alarm import Alarm

INSIDE = (Method, Energy, Memory, MicroBatched, Recomputed, nn.ModuleList, nn.ModuleDict)
"""Modules that are no networks themselves, but hold some."""

BACKEND = "inductor"
"""Of torch.compile."""
LIMIT = 64
"""Of versions of a network: with and without gradient, in training and evaluation."""


@contextmanager
def compiled(method: Method, device: torch.device) -> Iterator[None]:
    """Compile a method's networks within the block; where there is no compiler, say so.

    The networks are compiled, and not the terms around them: these choose by the step, write
    memories and differentiate, which the compiler cannot follow. Names and states stay.

    Raises:
        ValueError: The compiler fails, or lacks what the method needs.
    """
    if reason := missing(device):
        warnings.warn(
            f"compile=True must find a compiler, got none for {device.type} ({reason}). "
            "Training goes on without it. Install one, such as g++, or leave compile out.",
            Alarm,
            stacklevel=2,
        )
        yield
        return
    found = list(networks(method))
    try:
        for network in found:
            # network.compile() would pass over networks whose forward is torch's own.
            network.forward = torch.compile(network.forward, backend=BACKEND)
        # Networks of torch's own layers share one piece of code, and so its limit.
        with torch._dynamo.config.patch(recompile_limit=LIMIT):
            yield
    except Exception as error:
        if "double backward" in str(error):
            raise ValueError(
                f"compile must be left out for {type(method).__name__}, whose terms differentiate "
                "a gradient: torch.compile has no second derivatives."
            ) from error
        if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            said = (str(error).strip().split("\n") or [""])[0]
            raise ValueError(
                f"compile must find a compiler that works, got {type(error).__name__} "
                f"({said[:120]}). Leave it out, or mend the compiler."
            ) from error
        raise
    finally:
        for network in found:
            vars(network).pop("forward", None)


def missing(device: torch.device) -> str | None:
    """Return what torch.compile lacks for a device, or None."""
    if BACKEND != "inductor":
        return None
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "no Triton that works"
    if sys.platform == "win32":
        return None if shutil.which("cl") else "no cl.exe on the path"
    names = ("g++", "clang++", "c++")
    return None if any(map(shutil.which, names)) else f"no {', '.join(names)} on the path"


def networks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost modules with parameters that are plain networks."""
    for child in module.children():
        if isinstance(child, INSIDE):
            yield from networks(child)
        elif any(True for _ in child.parameters()):
            yield child
