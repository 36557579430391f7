"""Learning rates over a run: torch's schedulers, put together as the papers have them."""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from ebm import checks


def warmup_cosine(
    *, steps: int, warmup: int = 0, floor: float = 0.0
) -> Callable[[Optimizer], LRScheduler]:
    """Return a schedule for `fit(..., schedule=)`: a linear warm-up, then half a cosine.

    Args:
        steps: Steps of the run.
        warmup: Of them, those in which the learning rate grows from near 0 to the optimizer's.
        floor: The learning rate at the end.

    Reference: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts",
    ICLR 2017, arXiv:1608.03983, eq. 5; Goyal et al., "Accurate, large minibatch SGD", 2017,
    arXiv:1706.02677, sec. 2.2.

    Example:
        >>> schedule = warmup_cosine(steps=1_000, warmup=100)
    """
    checks.count("steps", steps)
    checks.not_negative("floor", floor)
    if not 0 <= warmup < steps:
        raise ValueError(
            f"warmup must be fewer than the steps, got warmup={warmup} of steps={steps}. "
            "A tenth of the steps is usual."
        )

    def schedule(optimizer: Optimizer) -> LRScheduler:
        cosine = CosineAnnealingLR(optimizer, T_max=steps - warmup, eta_min=floor)
        if not warmup:
            return cosine
        rising = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        return SequentialLR(optimizer, [rising, cosine], milestones=[warmup])

    return schedule
