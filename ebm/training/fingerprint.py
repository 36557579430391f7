"""The fingerprint of a method: a few rows of its data and their energies."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from ebm.energy import evaluating, inputs
from ebm.method import Method

ROWS = 4
CLOSE = 1e-3


def fingerprint(method: Method, batch: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return a few rows of a batch and their energies, to recognize the method by."""
    taken = inputs(method.energy)
    batch = _views(method, batch)
    if len(batch) < taken:
        return {}
    sample = [x[:ROWS].detach() for x in batch[:taken]]
    # clone: a slice would be saved with all of what it is a slice of
    rows = [x.cpu().clone() for x in sample]
    return {"rows": rows, "energies": _energies(method, sample).cpu()}


def compare(method: Method, mark: dict[str, Any]) -> None:
    """Refuse a method that gives other energies than the saved one.

    Raises:
        ValueError: It does, or cannot be called with the saved rows.
    """
    if not mark:
        return
    device = next((t.device for t in method.state_dict().values()), torch.device("cpu"))
    try:
        saved = mark["energies"]
        now = _energies(method, [x.to(device) for x in mark["rows"]]).cpu()
        scale = saved.abs().max().clamp(min=1e-6)
        difference = ((now - saved).abs().max() / scale).item()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"method must take the saved rows, got an error from its energy ({reason[:120]}). "
            "Build it with the hyper-parameters in run.json."
        ) from error
    if not difference < CLOSE:
        raise ValueError(
            f"method must give the saved energies, got a relative difference of "
            f"{difference:.2g}. Build it with the hyper-parameters in run.json."
        )


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
