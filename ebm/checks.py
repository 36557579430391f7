"""Argument checks whose messages carry the cure.

Every message reads: `<name> must <rule>, got <what came>. <What to do.>`
"""

import math
from numbers import Real

from torch import Tensor

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
        raise ValueError(f"{name} must be a positive number, got {name}={value!r}.")
    return value


def not_negative(name: str, value: float) -> float:
    """Return the number, refused unless it is finite and zero or more."""
    if not _number(value) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be zero or a positive number, got {name}={value!r}.")
    return value


def fraction(name: str, value: float) -> float:
    """Return the number, refused unless it lies between 0 and 1, both included."""
    if not _number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {name}={value!r}.")
    return value


def count(name: str, value: int, least: int = 1) -> int:
    """Return the whole number, refused unless it is at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}, got {name}={value!r}."
        )
    return value


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


def _number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
