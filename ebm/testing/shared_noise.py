"""Noise that does not depend on the number of processes, to compare runs with it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ebm import checks, distributed


class SharedNoise(TorchFunctionMode):
    """Draws for the whole batch; each process keeps the rows of its own examples.

    While it is active, what torch draws without a generator of its own comes from here: the
    axis as long as this process's share of the batch, or a multiple of it, is drawn for all
    processes and cut to the own rows, in rank order; a draw without such an axis is the same
    everywhere. So one process on the whole batch and several on their shares see the same
    noise. Choose a batch whose share is no other size in sight.

    >>> with SharedNoise(4):
    ...     first = torch.randn(4, 2)
    >>> with SharedNoise(4):
    ...     torch.equal(first, torch.randn(4, 2))
    True

    Args:
        rows: Examples in this process's share of a batch.
        seed: Seed of all draws.
    """

    def __init__(self, rows: int, *, seed: int = 0) -> None:
        super().__init__()
        self.rows = checks.count("rows", rows)
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Draw in place of torch, or call it for everything else."""
        given = dict(kwargs or {})
        draw = _DRAWS.get(func)
        if draw is None or given.get("generator") is not None:
            return func(*args, **given)
        given.pop("generator", None)
        return draw(self, *args, **given)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Return numbers in [0, 1), in float64, for this process's rows."""
        return self._cut(torch.rand, shape)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers, in float64, for this process's rows."""
        return self._cut(torch.randn, shape)

    def _cut(self, draw: Callable[..., Tensor], shape: Sequence[int]) -> Tensor:
        world, rank, n = distributed.world(), distributed.rank(), self.rows
        options: dict[str, Any] = {"generator": self.generator, "dtype": torch.float64}
        axis = next((i for i, size in enumerate(shape) if size and size % n == 0), None)
        if axis is None:
            return draw(tuple(shape), **options)
        # Copies of a batch come one batch after another.
        split = (*shape[:axis], shape[axis] // n, n * world, *shape[axis + 1 :])
        whole = draw(split, **options).narrow(axis + 1, rank * n, n)
        return whole.reshape(tuple(shape))


def _size(size: Sequence[Any]) -> tuple[int, ...]:
    return tuple(size[0]) if size and not isinstance(size[0], int) else tuple(size)


def _placed(
    drawn: Tensor, dtype: torch.dtype | None = None, device: Any = None, **_: Any
) -> Tensor:
    return drawn.to(device=device or "cpu", dtype=dtype or torch.get_default_dtype())


def _rand(noise: SharedNoise, *size: Any, **options: Any) -> Tensor:
    return _placed(noise.uniform(_size(size or (options["size"],))), **options)


def _randn(noise: SharedNoise, *size: Any, **options: Any) -> Tensor:
    return _placed(noise.normal(_size(size or (options["size"],))), **options)


def _rand_like(noise: SharedNoise, x: Tensor, **options: Any) -> Tensor:
    return _placed(noise.uniform(x.shape), **{"dtype": x.dtype, "device": x.device, **options})


def _randn_like(noise: SharedNoise, x: Tensor, **options: Any) -> Tensor:
    return _placed(noise.normal(x.shape), **{"dtype": x.dtype, "device": x.device, **options})


def _randint(noise: SharedNoise, *bounds_and_size: Any, **options: Any) -> Tensor:
    *bounds, size = bounds_and_size
    low, high = (0, *bounds)[-2:]
    drawn = (low + (high - low) * noise.uniform(size)).floor()
    return _placed(drawn, options.get("dtype") or torch.int64, options.get("device"))


def _randperm(noise: SharedNoise, n: int, **options: Any) -> Tensor:
    drawn = torch.randperm(n, generator=noise.generator)
    return _placed(drawn, options.get("dtype") or torch.int64, options.get("device"))


def _bernoulli(noise: SharedNoise, p: Tensor, **_: Any) -> Tensor:
    return (noise.uniform(p.shape).to(p.device) < p).to(p.dtype)


def _multinomial(
    noise: SharedNoise,
    weights: Tensor,
    num_samples: int,
    replacement: bool = False,  # noqa: FBT001, FBT002 - torch's own signature
    **_: Any,
) -> Tensor:
    if not replacement:  # the first ones of exponential arrivals
        arrivals = -noise.uniform(weights.shape).to(weights.device).log() / weights
        return arrivals.topk(num_samples, largest=False).indices
    ends = weights.double().cumsum(-1)
    wanted = noise.uniform((*weights.shape[:-1], num_samples)).to(weights.device)
    place = torch.searchsorted(ends, wanted * ends[..., -1:], right=True)
    return place.clamp(max=weights.shape[-1] - 1)


def _normal(noise: SharedNoise, mean: Any, std: Any = 1.0, *size: Any, **options: Any) -> Tensor:
    like = mean if isinstance(mean, Tensor) else std
    shape = like.shape if isinstance(like, Tensor) else _size(size or (options["size"],))
    drawn = noise.normal(shape)
    drawn = drawn.to(like) if isinstance(like, Tensor) else _placed(drawn, **options)
    return mean + std * drawn


def _dropout(
    noise: SharedNoise,
    x: Tensor,
    p: float = 0.5,
    training: bool = True,  # noqa: FBT001, FBT002 - torch's own signature
    inplace: bool = False,  # noqa: FBT001, FBT002
) -> Tensor:
    if not training or p == 0:
        return x
    return x * (noise.uniform(x.shape).to(x.device) >= p) / (1 - p)


def _normal_in_place(noise: SharedNoise, x: Tensor, mean: float = 0, std: float = 1) -> Tensor:
    return x.copy_(mean + std * noise.normal(x.shape))


def _uniform_in_place(noise: SharedNoise, x: Tensor, low: float = 0, high: float = 1) -> Tensor:
    return x.copy_(low + (high - low) * noise.uniform(x.shape))


def _exponential_in_place(noise: SharedNoise, x: Tensor, rate: float = 1) -> Tensor:
    return x.copy_(-torch.log1p(-noise.uniform(x.shape)) / rate)


def _bernoulli_in_place(noise: SharedNoise, x: Tensor, p: Any = 0.5) -> Tensor:
    return x.copy_(noise.uniform(x.shape).to(x.device) < p)


_DRAWS: dict[Any, Callable[..., Tensor]] = {
    torch.rand: _rand,
    torch.randn: _randn,
    torch.rand_like: _rand_like,
    torch.randn_like: _randn_like,
    torch.randint: _randint,
    torch.randperm: _randperm,
    torch.bernoulli: _bernoulli,
    torch.multinomial: _multinomial,
    torch.normal: _normal,
    functional.dropout: _dropout,
    Tensor.normal_: _normal_in_place,
    Tensor.uniform_: _uniform_in_place,
    Tensor.exponential_: _exponential_in_place,
    Tensor.bernoulli_: _bernoulli_in_place,
}
