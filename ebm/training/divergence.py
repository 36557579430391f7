"""The error that stops a run whose numbers are no longer finite."""


class Divergence(RuntimeError):
    """A term became NaN or infinite.

    Attributes:
        step: The step at which it did, counted from 1.
        term: The name of the term.
    """

    def __init__(self, step: int, term: str, value: float, saved: str | None, others: str) -> None:
        self.step, self.term = step, term
        kept = f" The last good checkpoint is {saved}." if saved else ""
        super().__init__(
            f"{term} must be finite, got {value} at step {step} ({others}).{kept} "
            "Lower the learning rate or the sampler's step size, clip gradients with "
            "gradient_clip=, or look for NaN in the data."
        )
