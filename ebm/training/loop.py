"""The loop of a run: its steps or sweeps, what it records, and what it saves."""

import inspect
import itertools
import math
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm import distributed
from ebm.memory import Memory
from ebm.method import Method
from ebm.metrics import watching
from ebm.training import checkpoint, film, randomness, ranks
from ebm.training.batches import Batch, Batches
from ebm.training.divergence import CURE, Divergence, why
from ebm.training.fault import DiskFault, Fault, reason
from ebm.training.film import Film
from ebm.training.fingerprint import fingerprint
from ebm.training.history import METRIC, History
from ebm.training.interruption import Interruption
from ebm.training.monitor import Monitor
from ebm.training.optimizer import optimizer_of, refuse_other_settings, schedule_of
from ebm.training.restore import restore
from ebm.training.run import Run

HALF_SWEPT = (-1, -1)
"""No place to go on from: a sweep is done once it is done."""


@dataclass(frozen=True)
class Options:
    """What `fit` was asked for, as `fit` documents it."""

    optimizer: Any = None
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None
    views: Callable[..., Any] | None = None
    gradient_clip: float | None = None
    compile: bool = False
    channels_last: bool = False
    save_every: int = 500
    log_every: int = 50
    progress: bool = True
    out: Path | None = None


class Loop:
    """The state of a run while it lasts."""

    def __init__(
        self,
        method: Method,
        batches: Batches,
        fabric: Any,
        seed: int,
        run: Run | None,
        state: dict[str, Any] | None,
        history: History,
        options: Options,
        interruption: Interruption,
    ) -> None:
        self.method, self.batches, self.fabric, self.seed = method, batches, fabric, seed
        self.options, self.interruption = options, interruption
        self.run, self.state, self.history = run, state, history
        if self.run is not None:
            self.run.start(self.history)
        self.optimizer: Any = None
        self.scheduler: Any = None
        self.memories = [m for m in method.modules() if isinstance(m, Memory)]
        self.monitor = Monitor(method)
        self.after_step: Callable[[], None] = getattr(method, "after_step", _nothing)
        self.film: Film | None = None
        self.place = (0, 0)
        self.saved_step = 0
        self.batch: Batch = ()
        self.pending: list[tuple[int, dict[str, float] | Tensor, list[str]]] = []
        self.at_once = fabric.device.type == "cpu" and distributed.world() == 1

    def descend(self, steps: int) -> History:
        """Take gradient steps."""
        options = self.options
        optimizer = optimizer_of(self.method, options.optimizer)
        self.scheduler = schedule_of(optimizer, options.schedule)
        if options.channels_last:
            self.method.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._restore(optimizer)
        self.method.train()
        model, self.optimizer = self.fabric.setup(self.method, optimizer)
        if self.state is not None:
            self._restore_optimizer()
        first = self.method.step
        self._roll(film.evenly(steps))
        with self._bar(first, steps) as bar, self._compiled(), self._stopping_well():
            for step, batch in zip(range(first, steps), self._stream(), strict=False):
                self.method.step, self.method.progress = step, step / steps
                randomness.start(self.seed, "step", step, self.batches.rank)
                self.batch = self._seen(batch)
                if step == first:
                    _check_signature(self.method, self.batch)
                with self._suiting() if step == 0 else nullcontext():
                    self._step(model, step + 1)
                self._finish(step + 1, steps, bar)
                self.interruption.raise_deaths()
        return self.history

    def sweep(self, passes: int) -> History:
        """Take passes over the data until one no longer lowers the terms."""
        if not hasattr(self.method, "sweep"):
            raise ValueError(
                f"method must have trainable parameters or a sweep, got "
                f"{type(self.method).__name__} with neither. Unfreeze a parameter."
            )
        self.method.to(self.fabric.device)
        ranks.align(self.method)
        self._restore(None)
        self._roll(range(passes + 1))
        before = float(self.history.total[-1]) if len(self.history) else math.inf
        tolerance = float(getattr(self.method, "tolerance", 0.0))
        with self._bar(self.method.step, passes) as bar, self._stopping_well():
            for number in range(self.method.step, passes):
                self.method.step, self.method.progress = number, number / passes
                randomness.start(self.seed, "sweep", number)  # shared by the ranks
                self.place = HALF_SWEPT
                means = _means(self.method.sweep(self.batches))  # pyright: ignore[reportCallIssue]
                total = sum(float(value) for value in means.values())
                rounding = 8 * max(torch.finfo(value.dtype).eps for value in means.values())
                converged = before - total <= max(tolerance, rounding) * abs(total)
                before = total
                self.batch = next(iter(self.batches))
                self.place = (0, 0)
                self._note(number + 1, means)
                self._finish(number + 1, number + 1 if converged else passes, bar)
                if converged:
                    break
        return self.history

    def _compiled(self) -> AbstractContextManager[None]:
        if not self.options.compile:
            return nullcontext()
        from ebm.training.compiler import compiled  # it takes long to import

        return compiled(self.method, self.fabric.device)

    def _step(self, model: Any, step: int) -> None:
        """Take one gradient step on the batch."""
        with watching() as noted:
            means = _means(model(*self.batch))
        self._note(step, means, noted)
        self.optimizer.zero_grad(set_to_none=True)
        loss = _sum(means)
        if loss.requires_grad:
            self.fabric.backward(loss)
            if self.options.gradient_clip is not None:
                self.fabric.clip_gradients(
                    model,
                    self.optimizer,
                    max_norm=self.options.gradient_clip,
                    error_if_nonfinite=False,
                )
            self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    @contextmanager
    def _suiting(self) -> Iterator[None]:
        """Say of which data it was where the first step fails: networks made for others, often.

        Raises:
            ValueError: torch refuses something in the step.
        """
        try:
            yield
        except (RuntimeError, IndexError) as error:
            if type(error) not in (RuntimeError, IndexError) or distributed.world() > 1:
                raise
            shapes = ", ".join(f"{tuple(x.shape)} of {x.dtype}" for x in self.batch)
            words = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"data must suit {type(self.method).__name__} and its networks, got batches "
                f"{shapes} and {type(error).__name__}: {words}. Make the networks for these shapes."
            ) from error

    def _stream(self) -> Iterator[Batch]:
        epoch, skip = self.place
        for number in itertools.count(epoch):
            if hasattr(self.method, "sweep") and skip == 0:
                self.place = HALF_SWEPT
                randomness.start(self.seed, "sweep", number)
                self.method.sweep(self.batches)  # pyright: ignore[reportCallIssue]
                self.place = (number, 0)
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

    def _seen(self, batch: Batch) -> Batch:
        if self.options.views is not None:
            made = self.options.views(*batch)
            batch = tuple(made) if isinstance(made, tuple | list) else (made,)
            if wrong := [type(x).__name__ for x in batch if not isinstance(x, Tensor)]:
                raise TypeError(
                    f"views must return tensors, got {', '.join(wrong)}. Return a tuple of them, "
                    "the arguments of the method's terms."
                )
        if self.options.channels_last:
            form = torch.channels_last
            batch = tuple(x.contiguous(memory_format=form) if x.ndim == 4 else x for x in batch)
        return batch

    def _note(
        self, step: int, means: dict[str, Tensor], noted: dict[str, Tensor] | None = None
    ) -> None:
        """Keep the terms and metrics of a step; on a CPU look at them now: it is free there.

        On a GPU, and where ranks must agree, they wait for the next flush, without a sync.
        """
        if not means:
            raise ValueError("terms must name at least one value, got {}. Return a dict.")
        found = means | {METRIC + name: value for name, value in (noted or {}).items()}
        if not self.at_once:
            values = torch.stack([value.detach().double() for value in found.values()])
            self.pending.append((step, values, list(found)))
            return
        row = {name: value.item() for name, value in found.items()}
        self.pending.append((step, row, []))
        if not all(map(math.isfinite, (row[name] for name in means))):
            self._flush()

    def _finish(self, step: int, steps: int, bar: Any) -> None:
        for memory in self.memories:
            memory.commit()
        self.after_step()
        self.method.step, self.method.progress = step, step / steps
        if self.film is not None and self.run is not None:
            with self.run.disk("a frame"):
                self.film.record(step, last=step >= steps)
        bar.update()
        stopping = self._stopping(step)
        last = step >= steps
        saving = last or stopping or step % self.options.save_every == 0
        if saving or step % self.options.log_every == 0:
            self._flush()
            row = {k: c[-1] for k, c in self.history.columns.items() if c[-1] == c[-1]}
            bar.set_postfix({k: f"{v:.4g}" for k, v in row.items()}, refresh=last)
            self.fabric.log_dict(row, step)
        if saving:
            self._save()
            self.monitor.look(self.batch)
        if stopping:
            self.interruption.stop(self._next)

    def _stopping(self, step: int) -> bool:
        """Return whether a signal ends the run here; processes agree where they meet anyway."""
        if distributed.world() > 1:
            if self.optimizer is not None and step % self.options.log_every:
                return False
            received = ranks.heard(self.interruption.received, self.fabric.device)
            self.interruption.received = received
        return self.interruption.received is not None

    @contextmanager
    def _stopping_well(self) -> Iterator[None]:
        """Record and save what is done also when the data or a worker fail; say what is saved."""
        try:
            yield
            self._flush()
        except Divergence:
            raise
        except Exception as error:
            if distributed.world() > 1:
                self._leave(error)
                raise
            self._flush()
            fault = _fault(error)
            if fault is None:
                if self.run is not None and not isinstance(error, Fault):
                    error.add_note(self._saved)
                raise
            try:
                self.interruption.raise_deaths(within=2.0 if _broken(error) else 0.0)
            except RuntimeError as death:  # it comes as a broken connection first
                error, fault = death, _fault(death)
            self._save()
            if self.interruption.received is not None:  # the signal reached the workers too
                self.interruption.stop(self._next)
            raise Fault(f"{fault} {self._next}") from (error.__cause__ or error)
        except BaseException:
            if distributed.world() == 1:
                self._flush()
            raise

    def _leave(self, error: Exception) -> None:
        """Say why this process leaves the others, which it must not call any more.

        Raises:
            Fault: Its data failed, or another process is gone.
        """
        self.pending.clear()
        cause: BaseException = error
        try:
            self.interruption.raise_deaths()
        except RuntimeError as death:
            cause = death
        if ranks.lost(cause):
            raise Fault(
                "every process must live to the end of the run, got a lost connection after step "
                f"{self.method.step} ({reason(cause)[:200]}). The process that failed first says "
                f"why, unless it was killed. {self._next}"
            ) from error
        fault = _fault(cause)
        if fault is not None:
            raise Fault(f"{fault} {self._next}") from (cause.__cause__ or cause)

    @property
    def _saved(self) -> str:
        if self.run is not None:
            return self.run.saved
        kept = f"What is saved is in {self.options.out}."
        return kept if self.options.out else "Pass out= to keep checkpoints."

    @property
    def _next(self) -> str:
        if self.run is not None:
            return self.run.next
        return f"{self._saved} Go on with resume=True." if self.options.out else self._saved

    def _flush(self) -> None:
        """Bring the pending values to the host in one transfer each, check and record them."""
        start = len(self.history)
        try:
            for step, values, names in self.pending:
                if isinstance(values, Tensor):
                    if distributed.world() > 1:
                        values = self.fabric.all_reduce(values, reduce_op="mean")
                    values = dict(zip(names, values.tolist(), strict=True))
                self._refuse_divergence(step, values)
                self.history.add(step, values)
        finally:
            self.pending.clear()
            if len(self.history) > start:
                self.monitor.watch(self.history, start)
                if self.run is not None:
                    self.run.record(self.history)

    def _refuse_divergence(self, step: int, row: dict[str, float]) -> None:
        for name, value in row.items():
            if not name.startswith(METRIC) and not math.isfinite(value):
                others = ", ".join(f"{k.removeprefix(METRIC)}={v:.4g}" for k, v in row.items())
                cure = why(self.batch, self.method.state_dict())
                raise Divergence(step, name, value, others, cure, self._saved)

    def _save(self) -> None:
        """Write a checkpoint, if something was done since the last one."""
        step = self.method.step
        if self.run is None or step <= self.saved_step or self.place == HALF_SWEPT:
            return
        state = self.method.state_dict()
        for name, value in state.items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                what = "a parameter or buffer"
                raise Divergence(step, name, math.nan, what, CURE, self._saved)
        self.run.save(
            {
                "name": type(self.method).__name__,
                "step": step,
                "place": list(self.place),
                "seed": self.seed,
                "examples": self.batches.count,
                "batch_size": self.batches.size,
                "total": self.history.mean(self.options.save_every),
                "method": dict(state),
                "optimizer": self.optimizer.state_dict() if self.optimizer else {},
                "scheduler": self.scheduler.state_dict() if self.scheduler else {},
                "precision": self.fabric.strategy.precision.state_dict(),
                "fingerprint": fingerprint(self.method, self.batch),
            }
        )
        self.saved_step = step
        self._describe()

    def _restore(self, optimizer: torch.optim.Optimizer | None) -> None:
        self.method.step = 0
        if self.state is not None:
            for name, own in (("examples", self.batches.count), ("batch_size", self.batches.size)):
                if own != self.state[name]:
                    raise ValueError(
                        f"{name} must be the run's own to resume it, got {own} instead of "
                        f"{self.state[name]}. Pass the same data and batch_size."
                    )
            restore(self.method, self.state)
            if optimizer is not None:
                refuse_other_settings(optimizer, self.state["optimizer"])
            self.place = tuple(self.state["place"])
            self.saved_step = self.method.step
        elif optimizer is not None and self.run is not None:
            # Better now than at the first checkpoint.
            checkpoint.refuse_objects(optimizer.state_dict(), "optimizer")
            if self.scheduler is not None:
                checkpoint.refuse_objects(self.scheduler.state_dict(), "scheduler")
        self._describe()

    def _restore_optimizer(self) -> None:
        state = self.state or {}
        if bool(state["scheduler"]) != (self.scheduler is not None):
            had = "with one" if state["scheduler"] else "without one"
            raise ValueError(f"schedule must be the run's own to resume it, which was {had}.")
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state["scheduler"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"optimizer, schedule and precision must be the run's own to resume it, got an "
                f"error from the saved ones ({error}). Make them as for the run."
            ) from error

    def _describe(self) -> None:
        if self.run is not None:
            self.run.describe(
                method=type(self.method).__name__,
                seed=self.seed,
                step=self.method.step,
                device=str(self.fabric.device),
                processes=self.fabric.world_size,
            )

    def _roll(self, schedule: Collection[int]) -> None:
        """Keep the landscape over training, where the run has a folder and points for data."""
        if self.run is not None:
            folder = self.run.folder / film.FOLDER
            checkpoint.refuse_escape(folder, self.run.folder)
            self.film = Film.of(folder, self.method, self.batches.tensors, schedule)
            if self.film is not None:
                with self.run.disk("a frame"):
                    self.film.begin(self.method.step)

    def _bar(self, first: int, steps: int) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=steps,
            initial=first,
            desc=type(self.method).__name__,
            unit="step",
            disable=not (self.options.progress and self.fabric.is_global_zero),
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            dynamic_ncols=True,
            leave=None,  # only the outermost bar stays
        )


def _nothing() -> None:
    pass


def _means(values: Any) -> dict[str, Tensor]:
    return {name: value.mean() for name, value in (values or {}).items()}


def _sum(means: dict[str, Tensor]) -> Tensor:
    first, *others = means.values()
    for value in others:
        first = first + value
    return first


def _fault(error: BaseException) -> str | None:
    """Return what failed, if it was the data or a loader's worker."""
    if isinstance(error, Fault):
        return None if isinstance(error, DiskFault) else str(error)
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        said = " ".join(str(error).split())
        return f"data must yield every batch, got a worker that died ({said}). Mend the data."
    return None


def _broken(error: BaseException) -> bool:
    """Return whether a loader lost the connection to a worker, whose death is heard later."""
    return isinstance(error.__cause__ or error, ConnectionError | EOFError)


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
