"""Evaluate an energy at many points: in batches, in eval mode, without exhausting memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy, as_energy, evaluating, inputs, modules, score, without_parameters

Locations = Callable[[Tensor], Tensor]
"""Makes the examples with these indices, so that all of them never exist at once."""


@dataclass(frozen=True)
class Probe:
    """An energy of x alone, with the device and dtype on which it is evaluated."""

    energy: Energy
    device: torch.device
    dtype: torch.dtype

    def values(self, locations: Locations, count: int, batch_size: int) -> NDArray[np.floating]:
        """Return the energies at `count` locations, NaN where they are not finite."""
        values = np.empty(count, np.float64 if self.dtype == torch.float64 else np.float32)
        with torch.no_grad(), self._batches(locations, count, batch_size) as batches:
            for part, x in batches:
                found = checks.one_per_example(self.energy(x), len(x))
                values[part] = found.cpu().double().numpy()
        values[~np.isfinite(values)] = np.nan
        return values

    def parts(
        self, locations: Locations, count: int, batch_size: int
    ) -> dict[str, NDArray[np.floating]]:
        """Return the named summands at `count` locations, NaN where they are not finite."""
        values: dict[str, NDArray[np.floating]] = {}
        kind = np.float64 if self.dtype == torch.float64 else np.float32
        with torch.no_grad(), self._batches(locations, count, batch_size) as batches:
            for part, x in batches:
                for name, found in self.energy.parts(x).items():
                    checks.one_per_example(found, len(x), name)
                    values.setdefault(name, np.empty(count, kind))
                    values[name][part] = found.cpu().double().numpy()
        for array in values.values():
            array[~np.isfinite(array)] = np.nan
        return values

    def scores(self, locations: Locations, count: int, batch_size: int) -> NDArray[np.floating]:
        """Return the scores -dE/dx at `count` locations, NaN where they are not finite."""
        found = []
        with self._batches(locations, count, batch_size) as batches:
            for _, x in batches:
                with without_parameters(self.energy):
                    found.append(score(self.energy, x).cpu().double().numpy())
        scores = np.concatenate(found)
        scores[~np.isfinite(scores)] = np.nan
        return scores

    def at(self, x: Tensor, batch_size: int) -> NDArray[np.floating]:
        """Return the energies of the examples."""
        return self.values(lambda index: x[index.to(x.device)].to(self.device), len(x), batch_size)

    def like(self, x: Any) -> Tensor:
        """Return the examples on the device and in the dtype of the energy."""
        return torch.as_tensor(x).detach().to(self.dtype).to(self.device)

    @contextmanager
    def _batches(
        self, locations: Locations, count: int, batch_size: int
    ) -> Iterator[Iterator[tuple[slice, Tensor]]]:
        def batches() -> Iterator[tuple[slice, Tensor]]:
            for start in range(0, count, batch_size):
                stop = min(start + batch_size, count)
                index = torch.arange(start, stop, device=self.device)
                yield slice(start, stop), locations(index).to(self.dtype)

        with evaluating(self.energy):
            yield batches()


def pair_energies(
    energy: Energy | Callable[..., Tensor], x: Tensor, y: Tensor, batch_size: int
) -> NDArray[np.floating]:
    """Return the energy of every x with every y, (len(x), len(y)), NaN where not finite.

    `batch_size` pairs exist at a time.

    Raises:
        ValueError: The energy depends on the rest of the batch, or is not one number per pair.
    """
    energy = as_energy(energy)
    checks.own_reach(energy, "a landscape")
    checks.count("batch_size", batch_size)
    device, _ = place_of(energy, x)
    x, y = x.detach().to(device), y.detach().to(device)
    values = np.empty(len(x) * len(y), np.float64 if x.dtype == torch.float64 else np.float32)
    with torch.no_grad(), evaluating(energy):
        for start in range(0, len(values), batch_size):
            index = torch.arange(start, min(start + batch_size, len(values)), device=device)
            found = energy(x[index // len(y)], y[index % len(y)])
            checks.one_per_example(found, len(index))
            values[start : start + batch_size] = found.cpu().double().numpy()
    values[~np.isfinite(values)] = np.nan
    return values.reshape(len(x), len(y))


def probe(
    energy: Energy | Callable[..., Tensor],
    given: Sequence[Tensor] = (),
    *,
    like: Tensor | None = None,
) -> Probe:
    """Return the energy ready to be evaluated, on the device and in the dtype it lives in.

    Parameters decide, then buffers, then `like`, then torch's default dtype on the CPU.

    Raises:
        ValueError: The energy depends on the rest of the batch, or takes more than x.
    """
    energy = as_energy(energy)
    checks.own_reach(energy, "a landscape")
    device, dtype = place_of(energy, like)
    wanted = _inputs(energy)
    if wanted > 1 + len(given):
        raise ValueError(
            f"energy must take one tensor, got an energy of {wanted}. Hold what follows the "
            "first fixed: energy.given(y), or ebm.as_energy(model.energy).given(y)."
        )
    if given:
        for value in given:
            if value.ndim == 0 or len(value) != 1:
                raise ValueError(
                    f"given must have one row, got shape {tuple(value.shape)}. "
                    "Index one example with y[i : i + 1]."
                )
        energy = energy.given(*(value.to(device) for value in given))
    return Probe(energy, device, dtype)


def place_of(
    energy: Callable[..., Tensor], like: Tensor | None
) -> tuple[torch.device, torch.dtype]:
    """Return the device and the dtype in which what is behind a callable lives."""
    found = list(modules(energy))
    tensors = [p for module in found for p in module.parameters(recurse=False)]
    tensors += [b for module in found for b in module.buffers(recurse=False)]
    tensors += [] if like is None else [like]
    for tensor in tensors:
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def _inputs(energy: Energy) -> int:
    try:
        return inputs(energy)
    except (TypeError, ValueError):  # a builtin without a signature
        return 1
