"""Argument checks whose messages carry the cure.

Every message reads: `<name> must <rule>, got <what came>. <What to do.>`
"""

import math
import operator
from numbers import Real

import torch
from torch import Tensor, nn

from ebm.traits import Reach


def one_per_example(values: Tensor, batch: int, name: str = "energy") -> Tensor:
    """Return the values, refused unless there is exactly one per example.

    Raises:
        ValueError: The shape is not `(batch,)`; `(n, 1)` would broadcast silently, and a
            mean over the batch would make every score silently 1/n of itself.
        TypeError: The values are no tensor.
    """
    if not isinstance(values, Tensor):
        raise TypeError(
            f"{name} must return a tensor, got {type(values).__name__}. "
            "Return one tensor of shape (batch,)."
        )
    shape = tuple(values.shape)
    if shape == (batch,):
        return values
    if shape == ():
        raise ValueError(
            f"{name} must return one value per example, got (). "
            "Remove .mean() or .sum() over the batch."
        )
    if shape == (batch, 1):
        cure = "Add .squeeze(-1) to the network's output."
    elif len(shape) > 1 and shape[0] == batch:
        cure = "Add .flatten(1).sum(-1) to reduce all but the batch axis."
    else:
        cure = "Keep the batch axis first and reduce all others."
    raise ValueError(
        f"{name} must return one value per example, shape ({batch},), got {shape}. {cure}"
    )


def own_reach(energy: object, user: str) -> None:
    """Refuse an energy whose numbers depend on the rest of the batch.

    Raises:
        ValueError: The reach of the energy is not its own example.
    """
    reach = getattr(energy, "reach", Reach.OWN)
    if reach != Reach.OWN:
        raise ValueError(
            f"energy must depend on its own example alone for {user}, got reach "
            f"{reach.name} of {type(energy).__name__}. Use it as a loss, or take a pair "
            "energy such as method.energy here."
        )


def positive(name: str, value: float) -> float:
    """Return the number, refused unless it is finite and above zero."""
    if not _number(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"{name} must be a positive number, got {name}={value!r}. "
            f"{_kind(value) or f'Pass a number above 0{_usual(name)}.'}"
        )
    return value


def not_negative(name: str, value: float) -> float:
    """Return the number, refused unless it is finite and zero or more."""
    if not _number(value) or not math.isfinite(value) or value < 0:
        raise ValueError(
            f"{name} must be zero or a positive number, got {name}={value!r}. "
            f"{_kind(value) or f'Pass 0, or a number above it{_usual(name)}.'}"
        )
    return value


def fraction(name: str, value: float) -> float:
    """Return the number, refused unless it lies between 0 and 1, both included."""
    if not _number(value) or not 0 <= value <= 1:
        raise ValueError(
            f"{name} must lie between 0 and 1, got {name}={value!r}. "
            f"{_kind(value) or f'Pass a share of the whole, such as {name}=0.5.'}"
        )
    return value


def count(name: str, value: int, least: int = 1) -> int:
    """Return the whole number, refused unless it is at least `least`."""
    whole = _index(value)
    if whole is None or whole < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}, got {name}={value!r}. "
            f"Pass {name}={least} or more, without a fraction."
        )
    return whole


def module(name: str, value: object) -> None:
    """Refuse what is no network.

    Raises:
        TypeError: It is a class, or something else.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be an instance, got the class {value.__name__}. "
            f"Write {value.__name__}(...)."
        )
    if not isinstance(value, nn.Module):
        raise TypeError(
            f"{name} must be a torch module, got {type(value).__name__}. "
            f"Pass one, such as ebm.networks.MLP([2, 64, 8])."
        )


def offers(name: str, value: object, call: str, such: str) -> None:
    """Refuse what does not have a certain method.

    Raises:
        TypeError: It is a class, or does not have it.
    """
    if isinstance(value, type) or not callable(getattr(value, call, None)):
        found = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise TypeError(f"{name} must have {call}(...), got {found}. Pass one, such as {such}.")


def seed(value: int) -> int:
    """Return the seed, refused unless it is a whole number that torch takes."""
    whole = _index(value)
    if whole is None or not -(2**63) <= whole < 2**63:
        raise ValueError(
            f"seed must be a whole number of less than 2^63, got seed={value!r}. Pass seed=0."
        )
    return whole


def configurations(name: str, x: Tensor) -> Tensor:
    """Return the tensor, refused unless it is a floating-point batch of examples."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name} must be a tensor, got {type(x).__name__}. Wrap it in torch.as_tensor."
        )
    if not x.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {x.dtype}. Call .float() on it.")
    if x.ndim == 0:
        raise ValueError(f"{name} must have a batch axis, got shape (). Call .reshape(1, -1).")
    return x


def finite(name: str, x: Tensor) -> None:
    """Refuse data that hold NaN or infinity; whole numbers cannot.

    Raises:
        ValueError: They do; the message counts the rows.
    """
    bad = int((~x.isfinite())[:, None].flatten(1).any(1).sum()) if x.is_floating_point() else 0
    if bad:
        raise ValueError(
            f"data must be finite, got NaN or infinity in {bad} of {len(x)} rows of {name}. "
            "Remove or impute them first."
        )


def same_shape(x: Tensor, *others: Tensor) -> None:
    """Refuse views whose shapes differ from the first one's.

    Raises:
        ValueError: A view has another shape; broadcasting would pair the wrong rows.
    """
    for other in others:
        if other.shape != x.shape:
            raise ValueError(
                f"views must have one shape, got {tuple(x.shape)} and {tuple(other.shape)}. "
                "Give the same examples in the same order to each view."
            )


def embeddings(*views: Tensor, least: int = 1, user: str = "term") -> None:
    """Refuse views that are no matrices of one shape with at least `least` rows.

    Raises:
        ValueError: A view is no (batch, dim) matrix, shapes differ, or the batch is too
            small for the statistics that the term takes.
    """
    same_shape(*views)
    shape = tuple(views[0].shape)
    if len(shape) != 2:
        raise ValueError(
            f"embeddings must have shape (batch, dim), got {shape}. Call .flatten(1) on them."
        )
    if shape[0] < least:
        raise ValueError(
            f"batch must hold at least {least} examples for {user}, got {shape[0]}. "
            "Use a larger batch_size."
        )


def features(x: Tensor, count: int, like: Tensor) -> None:
    """Refuse what a network of `count` input features cannot take.

    Raises:
        TypeError: x is no tensor of floating-point numbers, or not of the parameters' dtype.
        ValueError: The last axis of x has another length.
    """
    _for_network(x, like)
    if x.shape[-1] != count:
        raise ValueError(
            f"x must have {count} features, shape (..., {count}), got {tuple(x.shape)}. Make the "
            f"network for {x.shape[-1]} features, or pass it the data that it was made for."
        )


def examples(x: Tensor, dim: int, kind: str) -> None:
    """Refuse examples of another number of numbers than an energy was made for.

    Raises:
        TypeError: x is no tensor of floating-point numbers.
        ValueError: An example has another number of numbers.
    """
    configurations("x", x)
    if x.ndim < 2 or x.shape[1:].numel() != dim:
        cure = f"Make {kind}({x.shape[1:].numel()}) for these examples."
        if x.ndim < 2:
            cure = (
                "Add the batch axis: x[None]." if len(x) == dim else "Call .reshape(-1, 1) on it."
            )
        raise ValueError(f"x must have shape (batch, {dim}), got {tuple(x.shape)}. {cure}")


def pictures(x: Tensor, channels: int, like: Tensor) -> None:
    """Refuse what a network of pictures with this many channels cannot take.

    Raises:
        TypeError: x is no tensor of floating-point numbers, or not of the parameters' dtype.
        ValueError: x is no batch of pictures, or they have other channels.
    """
    _for_network(x, like)
    if x.ndim != 4 or x.shape[1] != channels:
        wide = x.shape[1] if x.ndim == 4 else None
        cure = (
            "Call .reshape(batch, channels, height, width) on it."
            if wide is None
            else f"Make the network for {wide} channels, or pass it the data that it was made for."
        )
        raise ValueError(
            f"x must have shape (batch, {channels}, height, width), got {tuple(x.shape)}. {cure}"
        )


def _for_network(x: Tensor, like: Tensor) -> None:
    configurations("x", x)
    if x.dtype != like.dtype and not torch.is_autocast_enabled(x.device.type):
        cure = {torch.float32: ".float()", torch.float64: ".double()"}.get(like.dtype)
        raise TypeError(
            f"x must have the dtype of the network, {like.dtype}, got {x.dtype}. "
            f"Call {cure or f'.to({like.dtype})'} on it."
        )


def _index(value: object) -> int | None:
    """Return the whole number, numpy's and torch's too, or None."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def _number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _kind(value: object) -> str:
    """Return the cure where it is no number at all, else nothing."""
    if isinstance(value, Tensor):
        return f"Call {'.item()' if value.numel() == 1 else '.tolist()'} on the tensor."
    return "" if _number(value) else "Pass a plain number."


def _usual(name: str) -> str:
    """Return, in words, a number that often serves under this name."""
    usual = {"step_size": 0.01, "temperature": 1.0, "sigma": 0.1, "learning_rate": 0.001}
    return f", such as {name}={usual[name]}" if name in usual else ""
