"""The one loop: every method is trained here, on Lightning Fabric."""

import inspect
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ebm import checks, distributed
from ebm.memory import Memory
from ebm.method import Method
from ebm.training import checkpoint, randomness
from ebm.training.batches import Batch, Batches
from ebm.training.divergence import Divergence
from ebm.training.history import History
from ebm.training.interruption import Interruption
from ebm.training.run import Run

STEPS = 1_000
PASSES = 300


def fit(
    method: Method,
    data: Any,
    *,
    steps: int | None = None,
    batch_size: int = 256,
    optimizer: Optimizer | Callable[[Method], Any] | None = None,
    views: Callable[..., Any] | None = None,
    fabric: Any = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    gradient_clip: float | None = None,
    save_every: int = 500,
    log_every: int = 50,
    progress: bool = True,
) -> History:
    """Train a method and return the history of its named terms.

    Each step minimizes the sum of the means of `method.terms(*batch)`. A method without
    trainable parameters learns by its sweeps: a step is then one pass over the data, and
    the run stops when a pass no longer lowers the terms.

    Args:
        method: The method; it is trained in place and ends on the fabric's device.
        data: A tensor, an array, a tuple of them, a Dataset or a DataLoader. Floating data
            take the dtype of the method's parameters or buffers, if it has any.
        steps: Total steps of the run (1,000), or the most passes of a sweeping method (300).
        batch_size: Examples in a step, over all processes.
        optimizer: An optimizer, or a callable of the method that returns one or returns
            parameter groups for Adam. Adam with learning rate 1e-3 if None.
        views: Maps a batch to the tuple that `terms` gets, on the device.
        fabric: A `lightning_fabric.Fabric`; the best device present, one process, if None.
        seed: Makes the run repeatable; drawn, and kept in the history, if None.
        out: Folder for checkpoints, metrics.csv and run.json.
        resume: Go on from the last checkpoint in `out`, bit-exactly on a CPU; start if
            there is none.
        gradient_clip: Largest norm of the gradient.
        save_every: Steps between checkpoints.
        log_every: Steps between writes of the metrics.
        progress: Show a progress bar.

    Raises:
        Divergence: A term became NaN or infinite.
        ValueError: The data, the folder or a number cannot be used; the message says why.
        KeyboardInterrupt: After Ctrl-C, once the step is done and saved.
    """
    for name, value in (("save_every", save_every), ("log_every", log_every)):
        checks.count(name, value)
    if steps is not None:
        checks.count("steps", steps)
    if gradient_clip is not None:
        checks.positive("gradient_clip", gradient_clip)
    if resume and out is None:
        raise ValueError("out must name the run's folder to resume it, got None. Pass out=.")
    fabric = _launched(fabric)
    run = Run(out, resume=resume) if out is not None else None
    state = run.state if run is not None else None
    if state is not None:
        seed = state["seed"]
    seed = randomness.fresh() if seed is None else int(seed)
    tensors = itertools.chain(method.parameters(), method.buffers())
    like = next((t for t in tensors if t.is_floating_point() and t.numel()), None)
    with randomness.isolated(fabric.device):
        batches = Batches(data, batch_size, seed=seed, like=like, fabric=fabric)
        loop = _Loop(method, batches, fabric, seed, run, progress=progress, log_every=log_every)
        loop.save_every, loop.gradient_clip, loop.views = save_every, gradient_clip, views
        with Interruption() as interruption:
            loop.interruption = interruption
            if any(p.requires_grad for p in method.parameters()):
                return loop.descend(steps or STEPS, optimizer)
            return loop.sweep(steps or PASSES)


class _Loop:
    """The state of a run while it lasts."""

    interruption: Interruption
    save_every: int
    gradient_clip: float | None
    views: Callable[..., Any] | None

    def __init__(
        self,
        method: Method,
        batches: Batches,
        fabric: Any,
        seed: int,
        run: Run | None,
        *,
        progress: bool,
        log_every: int,
    ) -> None:
        self.method, self.batches, self.fabric, self.seed = method, batches, fabric, seed
        self.run = run if fabric.is_global_zero else None
        self.state = run.state if run is not None else None
        self.history = run.history(seed) if run is not None else History(seed=seed)
        if self.run is not None:
            self.run.start(self.history)
        self.progress, self.log_every = progress, log_every
        self.optimizer: Any = None
        self.memories = [m for m in method.modules() if isinstance(m, Memory)]
        self.place = (0, 0)
        self.pending: list[tuple[int, list[str], Tensor]] = []

    def descend(self, steps: int, optimizer: Any) -> History:
        """Take gradient steps."""
        self._restore()
        model, self.optimizer = self.fabric.setup(self.method, _optimizer(optimizer, self.method))
        if self.state is not None:
            self.optimizer.load_state_dict(self.state["optimizer"])
        self.method.train()
        first = self.method.step
        with self._bar(first, steps) as bar, self._flushed():
            for step, batch in zip(range(first, steps), self._stream(), strict=False):
                self._begin(step, steps)
                randomness.start(self.seed, "step", step, self.batches.rank)
                if self.views is not None:
                    batch = _tuple(self.views(*batch))
                if step == first:
                    _check_signature(self.method, batch)
                means = _means(model(*batch))
                self._note(step + 1, means)
                self.optimizer.zero_grad(set_to_none=True)
                loss = sum(means.values(), start=torch.zeros((), device=self.fabric.device))
                if loss.requires_grad:
                    self.fabric.backward(loss)
                    if self.gradient_clip is not None:
                        self.fabric.clip_gradients(
                            model,
                            self.optimizer,
                            max_norm=self.gradient_clip,
                            error_if_nonfinite=False,
                        )
                    self.optimizer.step()
                self._finish(step + 1, steps, batch, bar)
        return self.history

    def sweep(self, passes: int) -> History:
        """Take passes over the data until one no longer lowers the terms."""
        if not hasattr(self.method, "sweep"):
            raise ValueError(
                f"method must have trainable parameters or a sweep, got "
                f"{type(self.method).__name__} with neither. Unfreeze a parameter."
            )
        self.method.to(self.fabric.device)
        self._restore()
        before = float(self.history.total[-1]) if len(self.history) else math.inf
        tolerance = float(getattr(self.method, "tolerance", 0.0))
        with self._bar(self.method.step, passes) as bar:
            for number in range(self.method.step, passes):
                self._begin(number, passes)
                randomness.start(self.seed, "sweep", number)  # shared by the ranks
                values = self.method.sweep(self.batches)  # pyright: ignore[reportCallIssue]
                means = _means(values)
                total = sum(float(value) for value in means.values())
                rounding = 8 * max(torch.finfo(value.dtype).eps for value in means.values())
                converged = before - total <= max(tolerance, rounding) * abs(total)
                before = total
                self._note(number + 1, means)
                batch = next(iter(self.batches))
                self._finish(number + 1, number + 1 if converged else passes, batch, bar)
                if converged:
                    break
        return self.history

    def _restore(self) -> None:
        if self.state is not None:
            checkpoint.restore(self.method, self.state)
            self.place = tuple(self.state["place"])
        else:
            self.method.step = 0
        self._describe(self.method.step)

    def _stream(self) -> Iterator[Batch]:
        epoch, skip = self.place
        for number in itertools.count(epoch):
            if hasattr(self.method, "sweep") and skip == 0:
                randomness.start(self.seed, "sweep", number)
                self.method.sweep(self.batches)  # pyright: ignore[reportCallIssue]
            taken = skip
            for batch in self.batches.epoch(number, skip):
                taken += 1
                self.place = (number, taken)
                yield batch
            if taken == 0:
                raise ValueError(
                    "data must yield at least one batch an epoch, got none. "
                    "A DataLoader with drop_last needs as many examples as its batch."
                )
            skip = 0

    def _begin(self, step: int, steps: int) -> None:
        self.method.step, self.method.progress = step, step / steps

    def _note(self, step: int, means: dict[str, Tensor]) -> None:
        if not means:
            raise ValueError("terms must name at least one value, got {}. Return a dict.")
        values = torch.stack([value.detach().double() for value in means.values()])
        self.pending.append((step, list(means), values))
        # On a CPU the check is free; on a GPU, and where ranks must agree, it waits for the
        # next flush, without a sync.
        if (
            values.device.type == "cpu"
            and distributed.world() == 1
            and not bool(values.isfinite().all())
        ):
            self._flush()

    def _finish(self, step: int, steps: int, batch: Batch, bar: Any) -> None:
        for memory in self.memories:
            memory.commit()
        if hasattr(self.method, "after_step"):
            self.method.after_step()  # pyright: ignore[reportCallIssue]
        self.method.step, self.method.progress = step, step / steps
        bar.update()
        stopping = self.interruption.received is not None
        last = step >= steps
        if last or stopping or step % self.log_every == 0 or step % self.save_every == 0:
            self._flush()
            row = {k: c[-1] for k, c in self.history.columns.items() if c[-1] == c[-1]}
            bar.set_postfix({k: f"{v:.4g}" for k, v in row.items()}, refresh=last)
        if last or stopping or step % self.save_every == 0:
            self._save(step, batch)
        if stopping:
            self.interruption.stop()

    @contextmanager
    def _flushed(self) -> Iterator[None]:
        """Record the steps done also when the data or the method raise."""
        try:
            yield
        finally:
            self._flush()

    def _flush(self) -> None:
        """Bring the pending values to the host in one transfer each, check and record them."""
        start = len(self.history)
        try:
            for step, names, values in self.pending:
                if distributed.world() > 1:
                    values = self.fabric.all_reduce(values, reduce_op="mean")
                row = dict(zip(names, values.tolist(), strict=True))
                self._refuse_divergence(step, row)
                self.history.add(step, row)
        finally:
            self.pending.clear()
            if self.run is not None and len(self.history) > start:
                self.run.record(self.history)

    def _refuse_divergence(self, step: int, row: dict[str, float]) -> None:
        for name, value in row.items():
            if not math.isfinite(value):
                saved = str(self.run.last) if self.run and self.run.last else None
                others = ", ".join(f"{k}={v:.4g}" for k, v in row.items())
                raise Divergence(step, name, value, saved, others)

    def _save(self, step: int, batch: Batch) -> None:
        if self.run is None:
            return
        state = self.method.state_dict()
        for name, value in state.items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                saved = str(self.run.last) if self.run.last else None
                raise Divergence(step, name, math.nan, saved, "a parameter or buffer")
        self.run.save(
            step,
            {
                "name": type(self.method).__name__,
                "method": state,
                "optimizer": self.optimizer.state_dict() if self.optimizer else {},
                "place": list(self.place),
                "seed": self.seed,
                "fingerprint": checkpoint.fingerprint(self.method, batch),
            },
        )
        self._describe(step)

    def _describe(self, step: int) -> None:
        if self.run is not None:
            self.run.describe(
                method=type(self.method).__name__,
                seed=self.seed,
                step=step,
                device=str(self.fabric.device),
                processes=self.fabric.world_size,
            )

    def _bar(self, first: int, steps: int) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=steps,
            initial=first,
            desc=type(self.method).__name__,
            unit="step",
            disable=not (self.progress and self.fabric.is_global_zero),
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            dynamic_ncols=True,
            leave=None,  # only the outermost bar stays
        )


def _launched(fabric: Any) -> Any:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    if fabric is None:
        fabric = Fabric(accelerator="auto", devices=1)
    if isinstance(fabric.strategy, DDPStrategy):
        # Players out of turn have no gradient, and every rank writes its own equal buffers.
        known = inspect.signature(DistributedDataParallel).parameters
        sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        fabric.strategy._ddp_kwargs.update({"find_unused_parameters": True, sync: False})
    fabric.launch()
    return fabric


def _optimizer(optimizer: Any, method: nn.Module) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        return optimizer
    trainable = [p for p in method.parameters() if p.requires_grad]
    made = trainable if optimizer is None else optimizer(method)
    return made if isinstance(made, Optimizer) else torch.optim.Adam(made, lr=1e-3)


def _means(values: Any) -> dict[str, Tensor]:
    return {name: value.mean() for name, value in (values or {}).items()}


def _tuple(batch: Any) -> Batch:
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def _check_signature(method: Method, batch: Batch) -> None:
    signature = inspect.signature(method.terms)
    try:
        signature.bind(*batch)
    except TypeError as error:
        names = ", ".join(signature.parameters)
        raise ValueError(
            f"batch must match {type(method).__name__}.terms({names}), got {len(batch)} "
            f"tensors ({error}). Pass data as a tuple, one tensor for each, or views= that "
            "makes them from a batch: views=lambda x, *rest: (x, x + noise)."
        ) from error
