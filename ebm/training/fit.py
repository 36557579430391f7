"""`fit`: every method is trained here, on Lightning Fabric."""

import inspect
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ebm import checks
from ebm.method import Method
from ebm.training import randomness, ranks
from ebm.training.batches import Batches
from ebm.training.history import History
from ebm.training.interruption import Interruption
from ebm.training.loop import Loop, Options
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
    schedule: Callable[[Optimizer], Any] | None = None,
    views: Callable[..., Any] | None = None,
    fabric: Any = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    gradient_clip: float | None = None,
    compile: bool = False,
    channels_last: bool = False,
    keep: int = 3,
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
        schedule: Maps the optimizer to a torch scheduler, which moves after each step.
        views: Maps a batch to the tuple that `terms` gets, on the device.
        fabric: A `lightning_fabric.Fabric`: device, precision, processes, loggers. The best
            device present, one process, if None.
        seed: Makes the run repeatable; drawn, and kept in the history, if None.
        out: Folder for checkpoints, metrics.csv, run.json and, where the data are points of
            the plane, the energy over training.
        resume: Go on from the last checkpoint in `out`, bit-exactly on a CPU; start if
            there is none.
        gradient_clip: Largest norm of the gradient.
        compile: Compile the method's networks with torch.compile, where there is a compiler.
        channels_last: Keep pictures and filters with their channels last in memory.
        keep: How many of the last checkpoints stay; the best one stays too.
        save_every: Steps between checkpoints.
        log_every: Steps between writes of the metrics.
        progress: Show a progress bar.

    Raises:
        Divergence: A term became NaN or infinite.
        Fault: The data, a loader's worker, the disk or another process failed.
        TypeError: The method, or what makes optimizer or views, is something else.
        ValueError: The data, the folder or a number cannot be used; the message says why.
        KeyboardInterrupt: After Ctrl-C, once the step is done and saved.
        SystemExit: After SIGTERM, once the step is done and saved; the status is 143.
    """
    _refuse_strangers(method, views)
    for name, value in (("keep", keep), ("save_every", save_every), ("log_every", log_every)):
        checks.count(name, value)
    if steps is not None:
        checks.count("steps", steps)
    if gradient_clip is not None:
        checks.positive("gradient_clip", gradient_clip)
    if seed is not None:
        checks.seed(seed)
    if resume and out is None:
        raise ValueError("out must name the run's folder to resume it, got None. Pass out=.")
    fabric = _launched(fabric)
    run: Run | None = None

    def opened() -> tuple[int, dict[str, Any] | None, History]:
        nonlocal run
        run = None if out is None else Run(out, resume=resume, keep=keep)
        state = None if run is None else run.state
        if state is not None and seed not in (None, state["seed"]):
            raise ValueError(
                f"seed must be the run's own to resume it, got {seed} instead of "
                f"{state['seed']}. Leave it out."
            )
        own = state["seed"] if state is not None else randomness.fresh() if seed is None else seed
        return int(own), state, History(seed=int(own)) if run is None else run.history(int(own))

    seed, state, history = ranks.lead(opened, fabric)
    options = Options(
        optimizer=optimizer,
        schedule=schedule,
        views=views,
        gradient_clip=gradient_clip,
        compile=compile,
        channels_last=channels_last,
        save_every=save_every,
        log_every=log_every,
        progress=progress,
        out=None if out is None else Path(out),
    )
    fabric.strategy.precision.convert_module(method)  # the data take the dtype that it will have
    tensors = itertools.chain(method.parameters(), method.buffers())
    like = next((t for t in tensors if t.is_floating_point() and t.numel()), None)
    with randomness.isolated(fabric.device):
        batches = Batches(data, batch_size, seed=seed, like=like, fabric=fabric)
        with Interruption() as interruption:
            loop = Loop(method, batches, fabric, seed, run, state, history, options, interruption)
            if any(p.requires_grad for p in method.parameters()):
                return loop.descend(steps or STEPS)
            return loop.sweep(steps or PASSES)


NETWORKS = ("encoder", "projector", "predictor", "decoder")


def _refuse_strangers(method: object, views: object) -> None:
    """Refuse what is no method, or holds something else in a network's place.

    Raises:
        TypeError: It is a class, an energy, or something else.
    """
    if isinstance(method, type):
        raise TypeError(
            f"method must be an instance, got the class {method.__name__}. "
            f"Write {method.__name__}(...)."
        )
    if not isinstance(method, Method):
        raise TypeError(
            f"method must be an ebm.Method, got {type(method).__name__}. To train an energy, pass "
            "it to a method: methods.ContrastiveDivergence(energy)."
        )
    for name in NETWORKS:
        if name in vars(method):  # modules are kept elsewhere
            checks.module(name, vars(method)[name])
    if views is not None and not callable(views):
        raise TypeError(
            f"views must be callable, got {type(views).__name__}. Pass views=ebm.views.pair(data)."
        )


def _launched(fabric: Any) -> Any:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision
    from lightning_fabric.strategies import DDPStrategy, SingleDeviceStrategy

    if fabric is None:
        fabric = Fabric(accelerator="auto", devices=1)
    if not isinstance(fabric, Fabric):
        raise TypeError(
            f"fabric must be a lightning_fabric.Fabric, got {fabric!r}. "
            'Pass Fabric(accelerator="cuda", devices=1), for example.'
        )
    if not isinstance(fabric.strategy, DDPStrategy | SingleDeviceStrategy):
        raise ValueError(
            f"strategy must be ddp, or one device, got {type(fabric.strategy).__name__}: what it "
            "does to states and memories is not tested here. Where memory is short, wrap the "
            "encoder in networks.MicroBatched or its layers in networks.Recomputed."
        )
    if isinstance(fabric.strategy, DDPStrategy):
        # Players out of turn have no gradient, and every rank writes its own equal buffers.
        known = inspect.signature(DistributedDataParallel).parameters
        sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        fabric.strategy._ddp_kwargs.update({"find_unused_parameters": True, sync: False})
    if isinstance(fabric.strategy.precision, MixedPrecision):
        # Autocast rounds layer by layer; Fabric would round the data too, also where a method
        # computes with them in float32.
        fabric.strategy.precision.convert_input = lambda data: data
    if not fabric._launched:  # as `fabric run` does before any line of ours
        fabric.launch()
    return fabric
