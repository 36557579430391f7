"""From a checkpoint back into a method; and from a method to a file of its encoder."""

import os
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from ebm.method import Method
from ebm.training.atomic import atomically
from ebm.training.checkpoint import read
from ebm.training.fingerprint import compare

Module = TypeVar("Module", bound=Method)


def restore(method: Method, state: dict[str, Any]) -> None:
    """Put a checkpoint's tensors into the method and compare the fingerprint.

    Raises:
        ValueError: The method is another one than the one that was saved.
    """
    name = type(method).__name__
    if state["name"] != name:
        raise ValueError(
            f"method must be the {state['name']} that was saved, got {name}. "
            "Build the method as it was built for the run (see run.json)."
        )
    try:
        method.load_state_dict(state["method"])
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split("\n\t")[1:2]) or str(error)
        raise ValueError(
            f"method must be built as it was saved, got a difference: {reason.strip()} "
            "See run.json for the hyper-parameters."
        ) from error
    method.step = state["step"]
    compare(method, state["fingerprint"])


def load(path: str | os.PathLike[str], into: Module) -> Module:
    """Load a run's last checkpoint, or one file, into a method and return the method.

    Only tensors and numbers are read. A fingerprint, the energies of a few rows, is
    compared after loading. The run's best checkpoint is `best.pt` in its folder.

    Raises:
        FileNotFoundError: There is no checkpoint at the path.
        ValueError: The file is damaged, or the method differs from the saved one.
    """
    restore(into, read(Path(path)))
    return into


def save_encoder(method: Method, path: str | os.PathLike[str]) -> Path:
    """Write the method's encoder as safetensors and return the path.

    Load it with `encoder.load_state_dict(safetensors.torch.load_file(path))`.

    Raises:
        ValueError: The method has no module called `encoder`, or the path cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    encoder = getattr(method, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ValueError(
            f"method must have an encoder, got {type(method).__name__}. "
            "Save method.state_dict() with torch.save instead."
        )
    path = Path(path)
    state = {
        name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path, lambda part: save_file(state, part))
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"path must be a file that can be written, got {path} ({error}). Choose another."
        ) from error
    return path
