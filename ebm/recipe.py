"""Recipes: a method, its data and its hyper-parameters by name, as run.json keeps them."""

import difflib
import functools
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import methods
import toy_data
from ebm import checks, networks
from ebm import target as targets
from ebm.energy import evaluating
from ebm.method import Method

SIMPLE = (bool, int, float, str)


@dataclass(frozen=True)
class Recipe:
    """All that is needed to build a method again: names and numbers, no code."""

    method: str
    data: str
    hyper: dict[str, Any] = field(default_factory=dict)
    encoder: str | None = None
    seed: int = 0

    def build(self) -> tuple[Method, Any, Callable[..., Any] | None]:
        """Return the method, the data for `fit`, and the views that it needs, if any.

        Raises:
            ValueError: A name is unknown or a hyper-parameter does not fit.
        """
        kind = find(self.method)
        raw = load_data(self.data, self.seed)
        _usable(raw)
        data, views = kind.example_inputs(raw)
        torch.manual_seed(self.seed)
        given = dict(self.hyper)
        if self.encoder is not None:
            if "encoder" not in inspect.signature(kind.example).parameters:
                raise ValueError(
                    f"encoder must be given to a method that takes one, got {kind.__name__}. "
                    "Leave --encoder out."
                )
            given["encoder"] = _fitting(load_network(self.encoder), first_tensor(raw))
        try:
            inspect.signature(kind.example).bind(data, **given)
            return kind.example(data, **given), data, views
        except ValueError as error:
            if not self.hyper or str(error).startswith(tuple(self.hyper)):
                raise
            asked = ", ".join(f"{name}={value!r}" for name, value in self.hyper.items())
            raise ValueError(f"{error} It was asked for with {asked}.") from error
        except (TypeError, RuntimeError, MemoryError, OverflowError) as error:
            raise ValueError(
                f"{kind.__name__} must take these hyper-parameters, got {sorted(given)} "
                f"({error}). See ebm train {name_of(kind)} --help."
            ) from error

    def write(self) -> dict[str, Any]:
        """Return the recipe as plain data for run.json."""
        return asdict(self)

    @classmethod
    def stored(cls, folder: Path) -> "Recipe":
        """Return the recipe in a run's folder, as it stands there: compare it, do not build it.

        Raises:
            ValueError: There is none.
        """
        try:
            recipe = cls(**json.loads((folder / "run.json").read_text())["recipe"])
            kinds = (
                (recipe.method, str),
                (recipe.data, str),
                (recipe.hyper, dict),
                (recipe.seed, int),
            )
            if not all(isinstance(value, kind) for value, kind in kinds):
                raise TypeError("a name, an object or a number is of another kind")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"run must have a recipe, got {folder} without a readable one in run.json. "
                "Load runs made in Python with ebm.load(path, into=method)."
            ) from error
        return recipe

    @classmethod
    def read(cls, folder: Path, data: str | None = None) -> "Recipe":
        """Return the recipe of a run that the command line made, safe to build.

        Args:
            folder: The run's folder.
            data: What the user names as data: what the recipe names too is trusted then.

        Raises:
            ValueError: There is none, or it names code, or files outside of the folder.
        """
        recipe = cls.stored(folder)
        values = (recipe.method, *recipe.hyper.values())
        plain = all(isinstance(v, (*SIMPLE, list, types.NoneType)) for v in values)
        known = recipe.data == data or _ours(recipe.data, folder)
        if not (plain and known) or recipe.encoder is not None or ":" in recipe.data:
            raise ValueError(
                f"recipe must name only what the project ships or the run's folder holds, got "
                f"{recipe}. Name files of your own with --data {recipe.data!r}, or build the "
                "method in Python and load it with ebm.load(path, into=method)."
            )
        return recipe


def all_methods() -> dict[str, type[Method]]:
    """Return every method by the name that the command line uses."""
    found = [getattr(methods, name) for name in methods.__all__]
    return {name_of(kind): kind for kind in found if isinstance(kind, type)}


def name_of(kind: type[Method]) -> str:
    """Return a method's name on the command line: its file's."""
    return kind.__module__.rsplit(".", 1)[-1].replace("_", "-")


def family_of(kind: type[Method]) -> str:
    """Return a method's family: its folder's name."""
    return kind.__module__.split(".")[1].replace("_", " ")


def find(name: str) -> type[Method]:
    """Return the method with this name, however it is spelled.

    Raises:
        ValueError: There is none; the closest names are given.
    """
    known = all_methods()
    spelled = {_plain(key): kind for key, kind in known.items()}
    spelled |= {_plain(kind.__name__): kind for kind in known.values()}
    if _plain(name) in spelled:
        return spelled[_plain(name)]
    close = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=3, cutoff=0.4)
    meant = f"Did you mean {' or '.join(close)}? " if close else ""
    raise ValueError(
        f"method must be one that the project has, got {name!r}. {meant}See ebm methods."
    )


def paper_of(kind: type[Method]) -> str:
    """Return the reference in the method's module docstring, on one line."""
    text = inspect.getdoc(sys.modules[kind.__module__]) or ""
    found = re.search(r"Reference:\s*(.+?)(?=\n\s*\n|\nDiffers:|\Z)", text, re.S)
    return " ".join(found.group(1).split()) if found else ""


def hyper_parameters(kind: type[Method]) -> dict[str, tuple[Any, Any, str]]:
    """Return the type, default and description of each simple hyper-parameter of `example`.

    What the constructor takes and `example` does not, it derives from the data.
    """
    import docstring_parser

    documented = docstring_parser.parse(inspect.getdoc(kind) or "").params
    documented += docstring_parser.parse(inspect.getdoc(kind.example) or "").params
    words = {p.arg_name: " ".join((p.description or "").split()) for p in documented}
    found: dict[str, tuple[Any, Any, str]] = {}
    for name, parameter in inspect.signature(kind.example).parameters.items():
        annotation = _simple(parameter.annotation)
        if annotation is None or parameter.kind == parameter.VAR_KEYWORD:
            continue
        default = None if parameter.default is parameter.empty else parameter.default
        found[name] = (annotation, default, words.get(name, ""))
    return found


@functools.cache
def load_data(name: str, seed: int = 0) -> Any:
    """Return the data with this name: a set, a folder of images, or `module:function`."""
    with _importing_from(Path.cwd()):
        return toy_data.load(name, generator=torch.Generator().manual_seed(seed))


def load_network(target: str) -> nn.Module:
    """Return the module that `module:Net` names; a class or function is called.

    Raises:
        ValueError: It cannot be imported, or is no torch module.
    """
    network = targets.load(target)
    if not isinstance(network, nn.Module) and callable(network):
        try:
            network = network()
        except Exception as error:
            raise ValueError(
                f"{target} must make a torch module when it is called without arguments, got "
                f"{type(error).__name__}: {error}. Try it in Python first."
            ) from error
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"encoder must be a torch module, got {type(network).__name__} from {target}. "
            "Name a subclass of torch.nn.Module, or a function that returns one."
        )
    return network


def first_tensor(data: Any) -> Tensor:
    """Return the examples of a data set: its first tensor."""
    return data if isinstance(data, Tensor) else data[0]


def _usable(data: Any) -> None:
    """Refuse data that no method can be built for.

    Raises:
        ValueError: They hold NaN or infinity, or single numbers without an axis of their own.
    """
    x = first_tensor(data)
    for i, part in enumerate([data] if isinstance(data, Tensor) else data):
        checks.finite(f"data[{i}]", part)
    if x.ndim < 2 or x[0].numel() == 0:
        raise ValueError(
            f"data must have the shape (examples, numbers of each, ...), got {tuple(x.shape)}. "
            "Call .reshape(-1, 1) on single numbers."
        )


def _fitting(encoder: nn.Module, x: Tensor) -> nn.Module:
    """Return the encoder, refused unless it turns examples into rows of its `features`.

    Raises:
        ValueError: It cannot take the data, or returns something else.
    """
    features = networks.features_of(encoder)
    x = x[:2].float()
    with torch.random.fork_rng([]), torch.no_grad(), evaluating(encoder):
        try:
            z = encoder(x)
        except Exception as error:
            raise ValueError(
                f"encoder must take the data, shape {tuple(x.shape)} for two examples, got "
                f"{type(error).__name__}: {error}. Make {type(encoder).__name__} for examples of "
                f"shape {tuple(x.shape[1:])}."
            ) from error
    if not isinstance(z, Tensor) or z.shape != (len(x), features):
        found = f"shape {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(
            f"encoder must return one row of its features={features} for each example, shape "
            f"({len(x)}, {features}), got {found}. Set encoder.features to the width of its output."
        )
    return encoder


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let imports find modules in a folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _ours(data: str, folder: Path) -> bool:
    """Return whether data are a set that is shipped, or lie in a folder."""
    if _plain(data) in map(_plain, toy_data.names()):
        return True
    return ":" not in data and "\0" not in data and _within(Path(data), folder)


def _within(path: Path, folder: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(folder.resolve())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _simple(annotation: Any) -> Any:
    """Return the type if it is a number, a word, or a tuple of numbers, else None."""
    if annotation in SIMPLE:
        return annotation
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        inner = [a for a in arguments if a is not types.NoneType]
        return annotation if len(inner) == 1 and _simple(inner[0]) else None
    if typing.get_origin(annotation) is tuple and all(a in (*SIMPLE, ...) for a in arguments):
        return annotation
    return None
