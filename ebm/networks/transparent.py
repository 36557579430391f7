"""Transparent wrappers: their saved state is that of the network inside."""

from typing import Any

from torch import nn


def transparent(wrapper: nn.Module, inside: str = "network") -> None:
    """Leave the name of the network inside out of the wrapper's saved states, both ways."""

    def strip(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        _rename(state, f"{prefix}{inside}.", prefix)

    def restore(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        _rename(state, prefix, f"{prefix}{inside}.")

    wrapper.register_state_dict_post_hook(strip)
    wrapper.register_load_state_dict_pre_hook(restore)


def _rename(state: dict[str, Any], old: str, new: str) -> None:
    for name in [name for name in state if name.startswith(old)]:
        state[new + name.removeprefix(old)] = state.pop(name)
