"""A method answers two questions: which surface is shaped, and what one step minimizes."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Method(nn.Module):
    """A training method: an energy, and the terms that one step minimizes.

    A subclass sets `self.energy = as_energy(net)` or defines `energy(self, x, *given)`,
    never both, and defines `terms(self, *batch)`. A batch is a tuple and is spread: the
    signature of `terms` says which data the method needs.

    Optional, each absent unless the method needs it:

    - `sweep(batches)`: called before each epoch with an iterable of this process's plain
      batches, as often as wanted; returns named terms or None. A method without trainable
      parameters learns by its sweeps alone.
    - `after_step()`: constraints and moving averages.
    - `encode(x)`: the representation, for probes and export.
    """

    energy: Any
    """`energy(x, *given) -> (batch,)`: the surface that training shapes."""

    step: int = 0
    """Steps done, set by `fit` before each step."""

    progress: float = 0.0
    """The share of the run that is done, 0 to 1, set by `fit` before each step."""

    def terms(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return the named, weighted terms of a step, each `(batch,)` or `()`."""
        raise NotImplementedError(f"{type(self).__name__} must define terms(self, *batch).")

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return the terms: what wrappers such as DDP call."""
        return self.terms(*batch)

    @classmethod
    def example_inputs(cls, data: Any) -> tuple[Any, Callable[..., Any] | None]:
        """Return what `fit` needs of a plain data set: the data, and views or None.

        A set with labels loses them unless `terms` names `labels`. A method whose second
        argument is another view, called `y`, or whose views are variadic, gets two.
        """
        names = list(inspect.signature(cls.terms).parameters.values())[1:]
        labeled = isinstance(data, tuple) and any("labels" in p.name for p in names)
        data = data if labeled or isinstance(data, Tensor) else _views_of(data)
        several = names[0].kind == names[0].VAR_POSITIONAL or "y" in [p.name for p in names]
        if several and isinstance(data, Tensor):
            from ebm import views

            return data, views.pair(data)
        return data, None

    @classmethod
    def example(cls, data: Tensor | tuple[Tensor, ...], **hyper: Any) -> "Method":
        """Return a small working instance for data of this shape."""
        raise NotImplementedError(f"{cls.__name__} must define example(cls, data, **hyper).")


def _views_of(data: Any) -> Any:
    """Return the tensors shaped like the first one: labels and indices are left out."""
    views = tuple(x for x in data if x.shape == data[0].shape)
    return views[0] if len(views) == 1 else views
