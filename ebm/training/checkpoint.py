"""Checkpoints: tensors and numbers, written to a temporary file and renamed."""

import hashlib
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ebm.energy import evaluating, inputs
from ebm.method import Method

FORMAT = 1
KEPT = 3
SEAL = b"blake2b:"
Module = TypeVar("Module", bound=Method)


def fingerprint(method: Method, batch: tuple[Tensor, ...], rows: int = 4) -> dict[str, Any]:
    """Return a few rows of a batch and their energies, to recognize the method by."""
    taken = inputs(method.energy)
    batch = _views(method, batch)
    if len(batch) < taken:
        return {}
    sample = [x[:rows].detach() for x in batch[:taken]]
    return {"rows": [x.cpu() for x in sample], "energies": _energies(method, sample).cpu()}


def write(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint and delete all but the last few; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    atomically(path, lambda part: _sealed(part, {"format": FORMAT, **state}))
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink()
    return path


def atomically(path: Path, save: Callable[[Path], None]) -> None:
    """Write a file beside its place, flush it to the disk, and move it there."""
    part = path.with_name(path.name + ".part")
    try:
        save(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a run's folder, oldest first."""
    found = [p for p in folder.glob("step-*.pt") if re.fullmatch(r"step-\d+\.pt", p.name)]
    return sorted(found, key=lambda p: int(p.stem.removeprefix("step-")))


def read(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds; nothing in the file is executed.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: The file is damaged or no checkpoint of this library.
    """
    path = Path(path)
    if path.is_dir():
        found = checkpoints(path / "checkpoints") or checkpoints(path)
        if not found:
            raise FileNotFoundError(
                f"path must hold a checkpoint, got {path} without one. "
                "Give the --out folder of a run, or a step-*.pt file."
            )
        path = found[-1]
    if not path.exists():
        raise FileNotFoundError(f"path must exist, got {path}. Give a run's folder or a file.")
    try:
        _verify(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"checkpoint must be whole and hold only tensors and numbers, got {path} "
            f"({reason[:120]}). Delete it to use the one before it."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint must be one that ebm.fit wrote, got {path}. "
            "Load other files with torch.load."
        )
    return state


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
    except RuntimeError as error:
        reason = " ".join(str(error).split("\n\t")[1:2]) or str(error)
        raise ValueError(
            f"method must be built as it was saved, got a difference: {reason.strip()} "
            "See run.json for the hyper-parameters."
        ) from error
    method.step = state["step"]
    mark = state["fingerprint"]
    if not mark:
        return
    device = next((t.device for t in method.state_dict().values()), torch.device("cpu"))
    now = _energies(method, [x.to(device) for x in mark["rows"]]).cpu()
    scale = mark["energies"].abs().max().clamp(min=1e-6)
    difference = ((now - mark["energies"]).abs().max() / scale).item()
    if not difference < 1e-3:
        raise ValueError(
            f"method must give the saved energies, got a relative difference of "
            f"{difference:.2g}. Build it with the hyper-parameters in run.json."
        )


def load(path: str | os.PathLike[str], into: Module) -> Module:
    """Load a run's last checkpoint, or one file, into a method and return the method.

    Only tensors and numbers are read. A fingerprint, the energies of a few rows, is
    compared after loading.

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
        ValueError: The method has no module called `encoder`.
    """
    from safetensors.torch import save_file

    encoder = getattr(method, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ValueError(
            f"method must have an encoder, got {type(method).__name__}. "
            "Save method.state_dict() with torch.save instead."
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()
    }
    atomically(path, lambda part: save_file(state, part))
    return path


def _sealed(path: Path, state: dict[str, Any]) -> None:
    torch.save(state, path)
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as file:  # readers of zip archives pass over what follows them
        file.write(SEAL + digest)


def _verify(path: Path) -> None:
    # torch does not compare the checksums of its archives: a flipped bit would be loaded.
    size = path.stat().st_size - len(SEAL) - hashlib.blake2b().digest_size
    with path.open("rb") as file:
        file.seek(max(0, size))
        seal = file.read()
    if size < 0 or not seal.startswith(SEAL):
        raise ValueError("its end is missing")
    if seal[len(SEAL) :] != _digest(path, size):
        raise ValueError("its checksum is wrong")


def _digest(path: Path, size: int) -> bytes:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, 2**20))):
            digest.update(block)
            size -= len(block)
    return digest.digest()


def _views(method: Method, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what the energy of a batch takes: only the views, where it takes two of them."""
    energy = method.energy.forward if isinstance(method.energy, nn.Module) else method.energy
    pair = list(inspect.signature(energy).parameters)[1:2] == ["y"]
    if not pair or "y" in inspect.signature(method.terms).parameters:
        return batch
    # An example that comes with its index alone is its own other view.
    views = [x for x in batch if x.shape == batch[0].shape and x.dtype == batch[0].dtype]
    return (*views, batch[0])


def _energies(method: Method, rows: list[Tensor]) -> Tensor:
    with evaluating(method), torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(0)
        return method.energy(*rows).detach()
