"""The command line: tour, train, landscape, audit, methods, benchmark."""

import contextlib
import dataclasses
import difflib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg


@dataclasses.dataclass
class Tour:
    """Train one method of every family on toy and real data; write one page to look at."""

    out: Path = Path("tour")
    """Folder of the page."""
    quick: bool = False
    """A tenth of the steps: to see that everything works."""
    gallery: Path | None = None
    """Draw what every method makes of two moons into this folder instead."""

    def run(self) -> int:
        """Run the tour."""
        from ebm import tour

        _writable("out", self.gallery or self.out, folder=True)
        if self.gallery is not None:
            print(f"The gallery is {tour.gallery.run(self.gallery, quick=self.quick)}")
            return 0
        print(f"The page is {tour.run(self.out, quick=self.quick)}")
        return 0


@dataclasses.dataclass
class Train:
    """Train a method and keep its checkpoints, metrics and recipe."""

    method: Positional[str]
    """Name of the method; see `ebm methods`. Its hyper-parameters become options."""
    data: str = "two-moons"
    """A set's name, a folder of images, an .npy file, or module:function."""
    steps: int | None = None
    """Steps of the run, or the most passes of a method that sweeps."""
    out: Path | None = None
    """Folder of the run; runs/METHOD-DATA if not given."""
    resume: bool = False
    """Go on from the last checkpoint in the folder, bit-exactly."""
    batch_size: int = 256
    """Examples in a step, over all processes."""
    optimizer: str = "adam"
    """adam, adamw, sgd or lars; the latter two with momentum 0.9."""
    learning_rate: float = 1e-3
    """Learning rate; the largest one, with a schedule."""
    weight_decay: float = 0.0
    """Weight decay, of all parameters but biases and norms."""
    warmup: int = 0
    """Steps in which the learning rate grows."""
    cosine: bool = False
    """Let the learning rate fall to 0 as half a cosine, after the warm-up."""
    seed: int = 0
    """Seed of the data, the networks and the run."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    devices: int | None = None
    """Processes on this machine, one for each GPU; torchrun and fabric run say it themselves."""
    num_nodes: int | None = None
    """Machines, each of which runs this command; torchrun and fabric run say it themselves."""
    strategy: str = "auto"
    """auto or ddp: how processes share the work."""
    precision: str = "32-true"
    """32-true, 16-mixed, bf16-mixed or 64-true."""
    compile: bool = False
    """Compile the networks, where there is a compiler."""
    channels_last: bool = False
    """Keep pictures and filters with their channels last in memory."""
    save_every: int = 500
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Write the terms for TensorBoard too, into the run's folder."""
    encoder: str | None = None
    """A network of yours, module:Net, in place of the method's own."""

    def run(self) -> int:
        """Run the training."""
        from lightning_fabric import Fabric

        import ebm
        from ebm import checks
        from ebm.recipe import Recipe, find, name_of
        from ebm.training.fit import STEPS
        from ebm.training.run import Run

        checks.seed(self.seed)
        kind = find(self.method)
        recipe = Recipe(name_of(kind), self.data, _hyper(self, kind), self.encoder, self.seed)
        out = self.out or Path("runs") / f"{recipe.method}-{Path(self.data).name.replace(':', '-')}"
        if self.resume and (out / "run.json").exists() and self.encoder is None:
            _same(Recipe.stored(out), recipe)
        if _rank() == 0:
            Run(out, resume=self.resume).describe(recipe=recipe.write())
        method, data, views = recipe.build()
        loggers = [_tensorboard(out)] if self.tensorboard else []
        fabric = _fabric(Fabric, self, loggers)
        history = ebm.fit(
            method,
            data,
            steps=self.steps,
            batch_size=self.batch_size,
            optimizer=_optimizer(self.optimizer, self.learning_rate, self.weight_decay),
            schedule=_schedule(self.steps or STEPS, self.warmup, cosine=self.cosine),
            views=views,
            fabric=fabric,
            seed=self.seed,
            out=out,
            resume=self.resume,
            compile=self.compile,
            channels_last=self.channels_last,
            save_every=self.save_every,
        )
        if fabric.is_global_zero:
            print(f"{history!r}\nThe run is in {out}. See it with: ebm landscape {out}")
        return 0


@dataclasses.dataclass
class Landscape:
    """Draw the energy of a run, a checkpoint or a Python file: a picture, or a page to explore."""

    target: Positional[str]
    """A run's folder, one of its step-*.pt files, or file.py:name."""
    out: Path | None = None
    """The picture; landscape.png in the run's folder, or in the working folder."""
    html: Path | None = None
    """Write a page to explore instead: one file that opens without a network."""
    compare: str | None = None
    """A second target, side by side with the first on the page."""
    data: str | None = None
    """Data to draw on the surface; a run's own if not given."""
    plane: tuple[int, int, int] | None = None
    """Three examples of the data, by number, to draw the plane through."""

    def run(self) -> int:
        """Draw the picture, or write the page."""
        import ebm
        from ebm import exhibit

        for name, place in (("out", self.out), ("html", self.html)):
            if place is not None:
                _writable(name, place)
        shown = exhibit.find(self.target, self.data)
        if self.compare is not None and self.html is None:
            raise ValueError(
                f"html must be given with compare, got compare={self.compare} alone. "
                "Add --html both.html."
            )
        if self.plane is not None:
            shown = shown.through(self.plane)
        shown.check()
        if self.html is not None:
            other = None if self.compare is None else exhibit.find(self.compare, self.data)
            print(f"The page is {exhibit.explore(shown, other).save(self.html)}")
            return 0
        path = self.out or shown.folder / "landscape.png"
        path = path if path.suffix else path.with_suffix(".png")
        ebm.landscape.show(shown.energy, data=shown.data, path=path)
        print(f"The picture is {path}")
        return 0


@dataclasses.dataclass
class Methods:
    """List the methods: name, family, what it does, where it is from."""

    def run(self) -> int:
        """Print the table."""
        import inspect

        from ebm.recipe import all_methods, family_of, paper_of

        rows = [("METHOD", "FAMILY", "WHAT IT DOES", "PAPER")]
        for name, kind in sorted(
            all_methods().items(), key=lambda item: (family_of(item[1]), item)
        ):
            line = (inspect.getdoc(kind) or "").split("\n")[0]
            paper = re.split(r"(?<=\d{4})[;.,)]|; ", paper_of(kind))[0]
            rows.append((name, family_of(kind), line, paper))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            print("  ".join([*cells, row[3]]).rstrip())
        return 0


@dataclasses.dataclass
class Audit:
    """Try every law on a loss or an energy, and print which hold."""

    target: Positional[str]
    """module:name or path/to/file.py:name: a function, a module, or an Energy."""
    claim: str = ""
    """Invariances that must hold, separated by commas: swap,rotation,..."""
    like: str = ""
    """A loss of the project whose laws must hold, such as vicreg."""
    json: bool = False
    """Print the result as JSON, by law."""
    compile: bool = False
    """Try torch.compile against eager mode too; it needs a compiler and minutes."""

    def run(self) -> int:
        """Print the table and return 1 if a claimed or universal law fails."""
        import ebm

        return ebm.testing.cli(
            self.target, claim=self.claim, like=self.like, json=self.json, compile=self.compile
        )


@dataclasses.dataclass
class Benchmark:
    """Measure, and print one of the tables that the docs show."""

    table: Positional[str]
    """The table: density, embeddings, fit, images, latent, lista, simclr, speed, terms, ..."""
    quick: bool = False
    """Smaller sizes, to see that everything works."""
    seeds: int = 1
    """Runs to average over, where something is trained."""
    data: str | None = None
    """Data to train on, where there is a choice: fashion-mnist, digits, ..."""
    preset: str | None = None
    """Size of the runs, where there is a choice: small, or large for a GPU."""
    peers: Path | None = None
    """Folder of other libraries to compare with; those that are missing are installed there."""
    out: Path | None = None
    """Write the rows as JSON too, each when it is done; a run that was stopped goes on."""

    def run(self) -> int:
        """Measure and print."""
        from ebm import benchmark

        if self.out is not None:
            _writable("out", self.out)
        benchmark.run(
            self.table,
            quick=self.quick,
            seeds=self.seeds,
            data=self.data,
            preset=self.preset,
            peers=self.peers,
            out=self.out,
        )
        return 0


DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true", "16-true", "bf16-true")

COMMANDS: dict[str, Any] = {
    "tour": Tour,
    "train": Train,
    "landscape": Landscape,
    "audit": Audit,
    "methods": Methods,
    "benchmark": Benchmark,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake prints one line with the cure and exits 2."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with _alarms_on_one_line():
            sys.exit(_parse(words).run())
    except KeyboardInterrupt as stopped:
        print(
            f"ebm: {stopped or 'Stopped; what is saved can be resumed with --resume.'}",
            file=sys.stderr,
        )
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, TypeError, OSError, ImportError) as error:
        if os.environ.get("EBM_TRACEBACK"):
            raise
        said = str(error)
        if isinstance(error, OSError) and error.errno is not None:
            said = f"{error.filename or 'the disk'} must be a file or folder that can be read and "
            said += f"written, got {error.strerror}. Choose another, or mend its permissions."
        _refuse(" ".join(said.split()) or type(error).__name__)
    except RuntimeError as error:
        # A run that stopped is an answer, not a crash; anything else keeps its traceback.
        from ebm import Divergence, Fault

        if not isinstance(error, Divergence | Fault) or os.environ.get("EBM_TRACEBACK"):
            raise
        _refuse(str(error), status=1)


@contextlib.contextmanager
def _alarms_on_one_line() -> Iterator[None]:
    """Print the alarms of a run as its errors are: without the line of code they come from."""
    usual = warnings.formatwarning

    def format_(message: Any, category: type[Warning], *place: Any, **line: Any) -> str:
        if category.__name__ == "Alarm":
            return f"ebm: {message}\n"
        return usual(message, category, *place, **line)

    warnings.formatwarning = format_
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _parse(words: list[str]) -> Any:
    commands = dict(COMMANDS)
    if words and not words[0].startswith("-") and words[0] not in commands:
        close = difflib.get_close_matches(words[0], commands, n=1)
        meant = f"Did you mean {close[0]}?" if close else "See ebm --help."
        raise ValueError(f"command must be one of {', '.join(commands)}, got {words[0]!r}. {meant}")
    if words[:1] == ["train"] and len(words) > 1 and not words[1].startswith("-"):
        commands["train"] = _with_hyper_parameters(words[1])
    kinds = [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in commands.items()]
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    help_wanted = not words or "-h" in words or "--help" in words
    said = io.StringIO()
    try:
        with contextlib.nullcontext() if help_wanted else contextlib.redirect_stderr(said):
            return tyro.cli(
                union,
                prog="ebm",
                description="Everything is an energy, and energies add.",
                args=words or ["--help"],
                config=(FlagCreatePairsOff,),
            )
    except SystemExit as exit_:
        if help_wanted or not exit_.code:
            raise
        _refuse(_one_line(said.getvalue()))


def _with_hyper_parameters(name: str) -> type[Train]:
    """Return Train with the simple hyper-parameters of a method as further options."""
    from ebm.recipe import find, hyper_parameters

    taken = {f.name for f in dataclasses.fields(Train)}
    fields: list[Any] = []
    for parameter, (kind, default, words) in hyper_parameters(find(name)).items():
        option = f"method_{parameter}" if parameter in taken else parameter
        kind = kind if default is not None else kind | None
        fields.append((option, Annotated[kind, arg(help=words or "See the docs.")], default))
    made = dataclasses.make_dataclass("Train", fields, bases=(Train,))
    made.__doc__ = Train.__doc__
    return made


def _hyper(options: Train, kind: Any) -> dict[str, Any]:
    """Return the hyper-parameters that differ from the method's own."""
    from ebm.recipe import hyper_parameters

    chosen: dict[str, Any] = {}
    base = {f.name for f in dataclasses.fields(Train)}
    for name, (_, default, _) in hyper_parameters(kind).items():
        value = getattr(options, f"method_{name}" if name in base else name, default)
        if value != default:
            chosen[name] = value
    return chosen


def _same(old: Any, new: Any) -> None:
    if old.write() != {**new.write(), "hyper": _jsonable(new.hyper)}:
        raise ValueError(
            f"recipe must be the run's own to resume it, got {new} but the folder holds {old}. "
            "Repeat the run's options or choose another --out."
        )


def _jsonable(hyper: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in hyper.items()}


def _optimizer(name: str, rate: float, weight_decay: float) -> Callable[[Any], Any]:
    """Return what makes the optimizer of a method."""
    from torch import optim

    from ebm import checks
    from ebm.training import parameter_groups

    def lars(groups: Any, **options: Any) -> Any:
        try:
            from pytorch_optimizer import LARS
        except ImportError as error:
            raise ImportError(
                "optimizer lars must find pytorch-optimizer, got none. Install it: "
                "pip install pytorch-optimizer"
            ) from error
        return LARS(groups, **options)

    checks.positive("learning_rate", rate)
    known: dict[str, tuple[Callable[..., Any], dict[str, float]]] = {
        "adam": (optim.Adam, {}),
        "adamw": (optim.AdamW, {}),
        "sgd": (optim.SGD, {"momentum": 0.9}),
        "lars": (lars, {"momentum": 0.9}),
    }
    if name not in known:
        raise ValueError(
            f"optimizer must be one of {', '.join(known)}, got {name!r}. Pass --optimizer adam."
        )
    make, options = known[name]
    return lambda m: make(parameter_groups(m, weight_decay=weight_decay), lr=rate, **options)


def _schedule(steps: int, warmup: int, *, cosine: bool) -> Any:
    """Return the schedule that was asked for, or None."""
    from ebm import checks
    from ebm.training import warmup_cosine

    checks.count("warmup", warmup, least=0)
    if warmup and not cosine:
        raise ValueError(f"cosine must follow a warm-up, got warmup={warmup} alone. Add --cosine.")
    return warmup_cosine(steps=steps, warmup=warmup) if cosine else None


def _tensorboard(out: Path) -> Any:
    from lightning_fabric.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(out, name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise ImportError(
            "tensorboard must find a writer of its files, got none. Install one: "
            "pip install tensorboardX"
        ) from error


def _fabric(make: Callable[..., Any], options: Train, loggers: list[Any]) -> Any:
    for name, known in (("device", DEVICES), ("precision", PRECISIONS)):
        if (value := getattr(options, name)) not in known:
            raise ValueError(
                f"{name} must be one of {', '.join(known)}, got {value!r}. "
                f"Pass --{name} {known[0]}."
            )
    if options.strategy not in ("auto", "ddp"):
        raise ValueError(
            f"strategy must be auto or ddp, got {options.strategy!r}. Where memory is short, wrap "
            "the encoder in networks.MicroBatched or its layers in networks.Recomputed."
        )
    devices, nodes = _processes(options.devices, options.num_nodes)
    several = devices * nodes > 1
    try:
        return make(
            accelerator=options.device,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if several and options.strategy == "auto" else options.strategy,
            precision=options.precision,
            loggers=loggers,
        )
    except (RuntimeError, ValueError) as error:
        wanted = f"{options.device}, {devices} of them, {options.strategy}, {options.precision}"
        if type(error).__name__ == "MisconfigurationException" or isinstance(error, ValueError):
            raise ValueError(
                f"device, devices, strategy and precision must fit this machine, got {wanted} "
                f"({error}). Use --device cpu --precision 32-true."
            ) from error
        raise ValueError(
            f"device must be present, got {options.device} ({error}). Use --device cpu."
        ) from error


def _processes(devices: int | None, nodes: int | None) -> tuple[int, int]:
    """Return processes on a machine and machines: what was asked for, or torchrun has made.

    Raises:
        ValueError: torchrun, or fabric run, has made others.
    """
    from ebm import checks

    for name, value in (("devices", devices), ("num_nodes", nodes)):
        if value is not None:
            checks.count(name, value)
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return devices or 1, nodes or 1
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    made = (local, int(os.environ["WORLD_SIZE"]) // local)
    if (devices or made[0], nodes or made[1]) != made:
        raise ValueError(
            f"devices and num_nodes must be left to torchrun, got {devices} and {nodes} where it "
            f"has made {made[0]} and {made[1]}. Leave --devices and --num-nodes out."
        )
    return made


def _rank() -> int:
    """Return the number of this process, as whoever started it says."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def _writable(name: str, path: Path, *, folder: bool = False) -> None:
    """Refuse a place that cannot be written, before anything is computed for it.

    Raises:
        ValueError: It cannot; the message says why.
    """
    above = path if folder else path.parent
    try:
        above.mkdir(parents=True, exist_ok=True)
        probe = above / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        if not folder and path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
    except OSError as error:
        kind = "folder" if folder else "file"
        raise ValueError(
            f"{name} must be a {kind} that can be written, got {path} ({error.strerror}). "
            f"Choose another {kind}."
        ) from error


def _one_line(box: str) -> str:
    """Return tyro's boxed message as one line."""
    lines = [re.sub(r"[╭╮╰╯│─]+|-{5,}", " ", line).strip() for line in box.splitlines()]
    said = " ".join(line for line in lines[1:] if line)
    wrong = re.search(
        r"Error parsing (--\S+): .*?(?:from \[(.*?)\]|base 10: ('.*?')|to float: ('.*?')).*?"
        r"helptext: --\S+ (?:\{None\}\|)?(\{.*?\}|\S+)",
        said,
    )
    if wrong is not None:
        option, *got, kind = wrong.groups()
        value = next(word for word in got if word is not None)
        kind = {"INT": "a whole number", "FLOAT": "a number"}.get(kind, kind.strip("{}"))
        return f"{option} must be {kind}, got {value}. See the command's --help."
    return said or "the options cannot be read. See ebm --help."


def _refuse(message: str, status: int = 2) -> NoReturn:
    print(f"ebm: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
