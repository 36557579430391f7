"""The error that stops a run whose numbers are no longer finite."""

from collections.abc import Sequence

from torch import Tensor

CURE = (
    "Lower the learning rate or the sampler's step size, or clip gradients with gradient_clip=: "
    "load a checkpoint with ebm.load and start another run from it."
)


class Divergence(RuntimeError):
    """A term, a parameter or a buffer became NaN or infinite.

    Attributes:
        step: The step at which it did, counted from 1.
        term: The name of the term, parameter or buffer.
    """

    def __init__(
        self, step: int, term: str, value: float, others: str, why: str, saved: str
    ) -> None:
        self.step, self.term = step, term
        super().__init__(
            f"{term} must be finite, got {value} at step {step} ({others}). {why} {saved}"
        )


def why(batch: Sequence[Tensor], state: dict[str, Tensor]) -> str:
    """Return what is to be done: about the batch or the state if not finite, else the run."""
    for i, x in enumerate(batch):
        rows = (~x.isfinite()).flatten(1).any(1) if x.ndim > 1 else ~x.isfinite()
        if bad := int(rows.sum()):
            return (
                f"The batch holds NaN or infinity in {bad} of {len(x)} rows of tensor {i}: "
                "remove or impute them in the data."
            )
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            return f"{name} was not finite before: look at what wrote it, and its data. {CURE}"
    return CURE
