"""Recomputation: the forward pass keeps its input alone, the backward pass runs it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Random = tuple[Tensor, Tensor | None]


def recomputed(network: nn.Module, x: Tensor, size: int | None = None) -> Tensor:
    """Return the network's output, computed `size` rows at a time and again in backward.

    What the second pass draws, casts and reads is what the first one did: random states,
    autocast and buffers are kept. Parameters get the exact gradient.

    Raises:
        TypeError: The network returns something else than a tensor.
    """
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if not (torch.is_grad_enabled() and (x.requires_grad or learned)):
        return _in_parts(network, x, size, [])
    return _Recomputed.apply(network, size, list(learned), x, *learned.values())  # pyright: ignore[reportReturnType]


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        network: nn.Module,
        size: int | None,
        names: list[str],
        x: Tensor,
        *learned: Tensor,
    ) -> Tensor:
        buffers = {name: b.clone() for name, b in network.named_buffers()}
        ctx.network, ctx.size, ctx.names, ctx.buffers = network, size, names, buffers
        ctx.cast, ctx.states = _cast(x.device), []
        ctx.save_for_backward(x, *learned)
        with torch.autocast(**ctx.cast):
            return _in_parts(network, x, size, ctx.states)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "MicroBatched and Recomputed must be differentiated once, got create_graph=True. "
                "Use the network itself where a loss holds derivatives of it."
            )
        x, *learned = ctx.saved_tensors
        leaves = [p.detach().requires_grad_() for p in learned]
        state = {**ctx.buffers, **dict(zip(ctx.names, leaves, strict=True))}
        to_x = []
        parts = zip(_split(x, ctx.size), _split(gradient, ctx.size), ctx.states, strict=True)
        for part, to_part, random in parts:
            part = part.detach().requires_grad_(ctx.needs_input_grad[3])
            with _drawing_again(random, x.device), torch.enable_grad(), torch.autocast(**ctx.cast):
                out = functional_call(ctx.network, state, (part,))
            torch.autograd.backward(out, to_part)  # the leaves add up over the parts
            to_x.append(part.grad)
        whole = torch.cat(to_x) if ctx.needs_input_grad[3] else None
        return None, None, None, whole, *(leaf.grad for leaf in leaves)


def _in_parts(network: nn.Module, x: Tensor, size: int | None, states: list[Random]) -> Tensor:
    outputs = []
    for part in _split(x, size):
        states.append(_random(x.device))
        outputs.append(network(part))
        if not isinstance(outputs[-1], Tensor):
            raise TypeError(
                f"network must return a tensor, got {type(outputs[-1]).__name__}. "
                "Wrap the part of it that does."
            )
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _split(x: Tensor, size: int | None) -> tuple[Tensor, ...]:
    return (x,) if size is None else x.split(size)


def _random(device: torch.device) -> Random:
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), own


@contextmanager
def _drawing_again(states: Random, device: torch.device) -> Iterator[None]:
    host, own = states
    with torch.random.fork_rng([device] if own is not None else []):
        torch.set_rng_state(host)
        if own is not None:
            torch.cuda.set_rng_state(own, device)
        yield


def _cast(device: torch.device) -> dict[str, Any]:
    kind = device.type
    # Weights that were cast without a graph must not be found by the pass that needs one.
    return {
        "device_type": kind,
        "enabled": torch.is_autocast_enabled(kind),
        "dtype": torch.get_autocast_dtype(kind),
        "cache_enabled": False,
    }
