"""A subject: any callable, with what it is called with and how large its numbers are.

A stranger's inputs are its required positional parameters. Which tensors they want is found
out by calling it: the first guess that works is the subject's `inputs`.
"""

import copy
import functools
import inspect
import itertools
import numbers
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from ebm import energy as energies
from ebm.testing import strategies
from ebm.testing.inputs import (
    Example,
    Input,
    Labels,
    Number,
    Probabilities,
    Sizes,
    Vector,
    View,
)
from ebm.traits import Reach, Trait, Views, find

Arguments = Sequence[Tensor | float]

_TEMPERATURES = {"temperature", "temp", "tau", "t"}
_NUMBERS = re.compile(
    r"^(?!log(?!it)).*(temp|tau|margin|alpha|beta|gamma|lamb|weight|coef|sigma|eps|scale|bias|delta"
    r"|rho)"
)
_POSITIVE = re.compile(r"^(var|variance|std|stddev|distances?)$")
_LIKELY = re.compile(r"recon|prob|^x_?hat$|^x$|^target$")
_LABELS = re.compile(r"label|class|index|indices|^ids?$")


class Uncallable(ValueError):
    """The callable could not be called; the message says with what to call it."""


class Refused(Exception):
    """The callable raised on these inputs."""


class Returned(Exception):
    """The callable returned something that is no tensor."""

    def __init__(self, value: Any) -> None:
        super().__init__(type(value).__name__)
        names = list(value) if isinstance(value, dict) else []
        self.key = next((name for name in names if name == "loss"), names[0] if names else "loss")


class Subject:
    """A callable under test, in float64 where it allows that.

    Args:
        thing: An energy, a loss, a module or any function of tensors.
        inputs: What it is called with; found out by calling it if None.
        traits: Facts claimed beside those that the thing declares itself.
        name: How reports call it.
    """

    def __init__(
        self,
        thing: Any,
        inputs: Sequence[Input] | None = None,
        traits: Sequence[Trait] = (),
        name: str | None = None,
    ) -> None:
        self.thing = thing
        self.name = name or describe(thing)
        declared = tuple(getattr(thing, "traits", ()) or ())
        self.traits: tuple[Trait, ...] = (*declared, *(t for t in traits if t not in declared))
        reach = getattr(thing, "reach", None)
        self.reach: Reach | None = reach if isinstance(reach, Reach) else None
        self.least = 2
        self.size = (5, 3)
        """Rows and columns of a batch that it accepts."""
        self._single: Any = None
        self._compiled: Any = None
        self.call, self.dtype = _doubled(thing)
        self.modules: list[nn.Module] = list(energies.modules(self.call))
        self._state = _state(self.modules)
        with quiet():
            self.inputs = tuple(inputs) if inputs is not None else self._probe()
            self.least = self._least()
            self._settle()

    @property
    def eps(self) -> float:
        """The rounding unit against which errors are measured."""
        return torch.finfo(torch.float32).eps

    @property
    def views(self) -> int:
        """How many of the inputs are views."""
        return sum(isinstance(item, View) for item in self.inputs)

    @functools.cached_property
    def cut(self) -> tuple[int, ...]:
        """The inputs, from 1, that get no gradient while another does: stopped on purpose."""
        with quiet():
            try:
                found = self.gradients(self.case("gaussian", seed=2).arguments)
            except Refused:
                return ()
        live = [None if g is None else bool((g != 0).any()) for g in found]
        return tuple(i + 1 for i, one in enumerate(live) if one is False) if True in live else ()

    def restore(self) -> None:
        """Put buffers and plain tensors of the modules back as they were found."""
        for owner, name, value in self._state:
            owner[name] = value.clone() if isinstance(value, Tensor) else value

    def raw(
        self,
        arguments: Arguments,
        *,
        seeded: bool = True,
        fresh: bool = True,
        shared: bool = False,
    ) -> Any:
        """Return what the callable returns; it gets copies unless `shared`.

        Raises:
            Refused: It raised.
        """
        if fresh and self._state:
            self.restore()
        if seeded:
            torch.default_generator.manual_seed(0)
        try:
            return self.call(*self._cast(arguments, shared=shared))
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from error

    def values(self, arguments: Arguments) -> Tensor:
        """Return the values, (n,) or (), in float64 and possibly with a graph."""
        value = self.raw(arguments)
        if not isinstance(value, Tensor):
            value = torch.as_tensor(value)
        return value.reshape(-1).double() if value.ndim else value.double()

    def loss(self, arguments: Arguments) -> Tensor:
        """Return the mean of the values."""
        return self.values(arguments).mean()

    def values_once(self, arguments: Arguments, *, seeded: bool) -> Tensor:
        """Return the values without a graph, from one call, reseeded or not."""
        value = self.raw(arguments, seeded=seeded)
        return value.detach() if isinstance(value, Tensor) else torch.as_tensor(value)

    def single(self, arguments: Arguments) -> Tensor:
        """Return the values in float32, from a copy in float32, without a graph."""
        if self._single is None:
            self.restore()
            self._single = copy.deepcopy(self.call) if self.modules else self.call
            for module in energies.modules(self._single):
                module.float()
        torch.default_generator.manual_seed(0)
        try:
            return self._single(*arguments).detach()
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from error

    def rounding(self, arguments: Arguments) -> float:
        """Return by how much float32 arithmetic changes the value around these inputs.

        What cancels inside a loss shows in no magnitude outside it, but it shows here.
        """
        generator = torch.Generator().manual_seed(0)
        worst = 0.0
        for _ in range(4):
            near = [
                (a * (1 + 1e-6 * torch.randn(a.shape, generator=generator, dtype=a.dtype))).float()
                if is_floating(a)
                else a
                for a in arguments
            ]
            try:
                exact = self.values([a.double() if is_floating(a) else a for a in near]).detach()
                error = float((self.single(near).double().reshape(exact.shape) - exact).abs().max())
            except (Refused, RuntimeError):
                continue
            worst = max(worst, error if error < float("inf") else 0.0)
        return worst

    def compiled(self) -> Callable[..., Tensor]:
        """Return the callable, compiled."""
        if self._compiled is None:
            self._compiled = torch.compile(self.call)
        return self._compiled  # pyright: ignore[reportReturnType]

    def parts(self, arguments: Arguments) -> dict[str, Tensor]:
        """Return the named parts of an energy."""
        self.restore()
        torch.default_generator.manual_seed(0)
        try:
            return self.call.parts(*self._cast(arguments))  # pyright: ignore[reportFunctionMemberAccess]
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from error

    def gradients(
        self, arguments: Arguments, *, weights: Tensor | None = None
    ) -> list[Tensor | None]:
        """Return the gradient of the mean, or a weighted sum, of the values in each argument.

        An argument that is no floating-point tensor gives None; one that the value does not
        depend on gives zeros.
        """
        leaves = [a.detach().clone().requires_grad_() if is_floating(a) else a for a in arguments]
        values = self.values(leaves)
        wanted = [leaf for leaf in leaves if is_floating(leaf)]
        if not values.requires_grad:
            return [torch.zeros_like(a) if is_floating(a) else None for a in leaves]
        reduced = values.mean() if weights is None else (values * weights).sum()
        try:
            found = torch.autograd.grad(reduced, wanted, materialize_grads=True)
        except RuntimeError as error:
            raise Refused(f"RuntimeError: {error}") from error
        rest = iter(found)
        return [next(rest).detach() if is_floating(leaf) else None for leaf in leaves]

    def view_gradients(self, case: strategies.Case, arguments: Arguments) -> list[Tensor]:
        """Return the gradients of the mean in the views."""
        gradients = self.gradients(arguments)
        return [gradient for i in case.views if (gradient := gradients[i]) is not None]

    def magnitude(self, *several: Arguments) -> float:
        """Return S: the loss's size at normal inputs and here, and sum |gradient * input|.

        An input counts as 1 at least: torch's own distances move it by 1e-6, however small.
        """
        size = self.typical
        for arguments in several:
            size = max(size, self._size(arguments))
        return size

    def _size(self, arguments: Arguments) -> float:
        values = self.values(arguments).detach()
        size = float(values.abs().max()) if values.numel() else 0.0
        for gradient, a in zip(self.gradients(arguments), arguments, strict=True):
            if gradient is not None and isinstance(a, Tensor):
                size += float((gradient.abs() * a.abs().clamp(min=1.0)).sum())
        if self.dtype != torch.float64:  # cancellation inside is not seen from outside
            size += max(float(a.square().max()) for a in arguments if is_floating(a))
        return size if size < float("inf") else 0.0

    def _cast(self, arguments: Arguments, *, shared: bool = False) -> list[Any]:
        # A copy is no leaf, as the embeddings that a loss gets in training are none.
        return [a.to(self.dtype, copy=not shared) if is_floating(a) else a for a in arguments]

    def case(
        self, kind: str = "gaussian", n: int | None = None, d: int | None = None, seed: int = 0
    ) -> strategies.Case:
        """Return the case of this kind that the subject's inputs make."""
        rows, columns = self.size
        return strategies.fixed(self.inputs, kind, n or rows, d or columns, seed)

    def _settle(self) -> None:
        sizes: list[float] = []
        self.typical = 0.0
        for seed in range(4):
            try:
                values = self.values(self.case(seed=seed).arguments).detach()
            except Refused:
                continue
            if values.numel() and bool(values.isfinite().all()):
                sizes.append(float(values.abs().max()))
        self.typical = sorted(sizes)[len(sizes) // 2] if sizes else 1.0
        arguments = self.case(seed=1).arguments
        try:
            first = self.raw(arguments, seeded=False)
            second = self.raw(arguments, seeded=False)
            self.random = not _same(first, second)
            again = self.raw(arguments, seeded=True, fresh=False)
            self.stateful = not self.random and not _same(first, again)
            found = self.values(arguments)
            self.each = found.ndim == 1
            # A random loss would draw another number of dropout masks for another batch.
        except Refused:
            self.random = self.stateful = False
            self.each = False

    # -- finding out what it is called with ------------------------------------------------

    def _probe(self) -> tuple[Input, ...]:
        refusals: dict[tuple[Input, ...], Exception] = {}
        dtypes = dict.fromkeys((self.dtype, torch.float32))
        for sizes in (((5, 3), (6, 4)), ((8, 4),)):  # any batch; then one of a round size
            self.size = sizes[0]
            for self.dtype in dtypes:
                partial: tuple[Input, ...] | None = None
                for inputs in _guesses(self.thing, self.traits, self.modules):
                    outcome = self._try(inputs, sizes)
                    if outcome is True:
                        return inputs
                    if outcome is None:
                        partial = partial or inputs
                    elif isinstance(outcome, Exception):
                        refusals.setdefault(inputs, outcome)
                if partial is not None:
                    return partial
        raise Uncallable(_refusal(self.name, refusals))

    def _least(self) -> int:
        """Return the size of the smallest batch that it accepts, of 2 or more."""

        def accepts(n: int, d: int) -> bool:
            try:
                self.raw(self.case(n=n, d=d).arguments)
            except Refused:
                return False
            return True

        rows, columns = self.size
        return next((n for n in range(2, rows) if accepts(n, columns) or accepts(n, 1)), rows)

    def _try(
        self, inputs: tuple[Input, ...], sizes: Sequence[tuple[int, int]]
    ) -> bool | Exception | None:
        """Return True where it works, None where it half works, the exception otherwise."""
        good = True
        for n, d in sizes:
            arguments = strategies.fixed(inputs, "gaussian", n, d, 0).arguments
            leaves = [a.clone().requires_grad_() if is_floating(a) else a for a in arguments]
            try:
                value = self.raw(leaves)
            except Refused as error:
                return error
            if isinstance(value, numbers.Real):
                return None  # .item() too early: the laws say so
            if not isinstance(value, Tensor):
                return Returned(value)
            if not bool(value.isfinite().all()) or value.shape not in {(), (n,), (n, 1), (1,)}:
                good = False
            good = good and value.requires_grad and value.is_floating_point()
            labeled = any(isinstance(item, Labels) for item in inputs)
            if labeled and not self._named_labels() and not self._indexes(arguments):
                return TypeError("does not use labels as indices")
        return True if good else None

    def _named_labels(self) -> bool:
        """Return whether a parameter's name says that it takes labels."""
        known = _parameters(self.thing, None)
        return any(isinstance(item, Labels) for item in known[0])

    def _indexes(self, arguments: Arguments) -> bool:
        absurd = [a if not _integer(a) else a + 10**6 for a in arguments]
        try:
            self.raw(absurd)
        except Refused:
            return True
        return False


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and leave torch's global generator as it was found."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield


def describe(thing: Any) -> str:
    """Return the name under which a thing is reported."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    name = getattr(thing, "__name__", None)
    if name is None and isinstance(thing, nn.Module):
        name = type(thing).__name__
    return name or type(thing).__name__


_ALONE = {
    "tuple": "Audit the loss alone: lambda *batch: {name}(*batch)[0].",
    "list": "Audit the loss alone: lambda *batch: {name}(*batch)[0].",
    "dict": "Audit the loss alone: lambda *batch: {name}(*batch)[{key!r}].",
    "NoneType": "Add the return statement.",
}


def _refusal(name: str, refusals: dict[tuple[Input, ...], Exception]) -> str:
    """Return in one line why a callable could not be called, and what to do."""
    for inputs, error in refusals.items():
        if isinstance(error, Returned):
            cure = _ALONE.get(str(error), "Return the loss as a tensor.")
            cure = cure.format(name=name, key=error.key)
            return f"{name} must return a tensor, got {error} from ({signature(inputs)}). {cure}"
    said: dict[str, list[str]] = {}
    likeliest = sorted(refusals, key=lambda inputs: any(isinstance(i, Labels) for i in inputs))
    for inputs in likeliest:
        lines = str(refusals[inputs]).splitlines() or [type(refusals[inputs]).__name__]
        said.setdefault(lines[0][:160], []).append(f"({signature(inputs)})")
    tried = "; ".join(f"{', '.join(how[:2])}: {why}" for why, how in list(said.items())[:3])
    if all("CUDA" in why or "NVIDIA" in why for why in said):
        cure = "It wants a GPU that is not here: write device=x.device in place of .cuda()."
    elif all("process group" in why for why in said):
        cure = (
            "It gathers over processes: ask torch.distributed.is_initialized() first, or start "
            'with torch.distributed.init_process_group("gloo", rank=0, world_size=1, '
            "store=torch.distributed.HashStore())."
        )
    else:
        cure = (
            "Pass a function of tensors (n, d); bind other arguments with functools.partial, "
            "or say what it takes with inputs=."
        )
    return f"{name} could not be called, tried {tried.rstrip('.')}. {cure}"


def _doubled(thing: Any) -> tuple[Callable[..., Any], torch.dtype]:
    """Return a float64 copy of what has parameters, the thing itself otherwise."""
    if not callable(thing):
        raise Uncallable(
            f"thing must be callable, got {type(thing).__name__}. Pass a function of tensors."
        )
    if isinstance(thing, type):
        raise Uncallable(
            f"thing must be an instance, got the class {thing.__name__}. "
            f"Write {thing.__name__}(...)."
        )
    if not any(True for _ in energies.modules(thing)):
        return thing, torch.float64
    try:
        copied = copy.deepcopy(thing)
    except Exception:  # a graph in an attribute, a lock: work on the thing itself
        return thing, torch.float32
    if inspect.isfunction(copied):  # deepcopy leaves closures shared
        return thing, torch.float32
    for module in energies.modules(copied):
        module.double()
    return copied, torch.float64


def _state(modules: Sequence[nn.Module]) -> list[tuple[dict[str, Any], str, Any]]:
    found: list[tuple[dict[str, Any], str, Any]] = []
    for module in modules:
        for owner in (module._buffers, module.__dict__):
            for name, value in owner.items():
                if isinstance(value, Tensor):
                    found.append((owner, name, value.detach().clone()))
                elif isinstance(value, int | float) and owner is module.__dict__:
                    found.append((owner, name, value))
    return [entry for entry in found if entry[1] != "training"]


def _guesses(
    thing: Any, traits: Sequence[Trait], modules: Sequence[nn.Module]
) -> Iterator[tuple[Input, ...]]:
    """Yield what a callable may want, the likeliest first."""
    stated = find(traits, Views)
    known: list[Input | None]
    for known in _parameters(thing, stated.count if stated is not None else None):
        free = sum(item is None for item in known)
        for fill in _fills(free, _widths(modules)):
            rest = iter(fill)
            yield tuple(next(rest) if item is None else item for item in known)
        if any(item is not None for item in known):  # the name misled
            for fill in _fills(len(known), _widths(modules)):
                yield fill


def _parameters(thing: Any, count: int | None) -> list[list[Input | None]]:
    if count is not None:
        return [[None] * count]
    call = thing.forward if isinstance(thing, nn.Module) else thing
    if isinstance(thing, energies.Energy):
        return [[None] * energies.inputs(thing)]
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a builtin
        return [[None, None], [None], [None, None, None]]
    needed = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if needed:
        names = ", ".join(p.name for p in needed)
        raise Uncallable(
            f"{describe(thing)} could not be called: it needs the keyword "
            f"{names}. Bind it with functools.partial({describe(thing)}, {needed[0].name}=...)."
        )
    required = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    if not required:
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return [[None, None], [None], [None, None, None]]
        if any(p.default is not p.empty and p.kind is not p.KEYWORD_ONLY for p in parameters):
            return [[None]]
        raise Uncallable(
            f"{describe(thing)} could not be called: it takes no arguments. "
            "Pass a function of tensors."
        )
    named = [_named(p) for p in required]
    likely = [
        Probabilities() if item is None and _LIKELY.search(p.name.lower()) else item
        for p, item in zip(required, named, strict=True)
    ]
    return [named, likely] if likely != named and len(named) > 2 else [named]


def _named(parameter: inspect.Parameter) -> Input | None:
    name = parameter.name.lower()
    if name in _TEMPERATURES:
        return Number(0.5)
    if parameter.annotation in (float, "float", int, "int") or _NUMBERS.search(name):
        return Number(1.0 if parameter.annotation not in (int, "int") else 1)
    if _POSITIVE.search(name):
        return Sizes()
    return Labels() if _LABELS.search(name) else None


def _fills(free: int, widths: Sequence[int]) -> Iterator[tuple[Input, ...]]:
    if free == 0:
        yield ()
        return
    if free == 2:
        yield (View(), Labels())
    yield (View(),) * free
    if free == 3:
        yield (View(), View(), Labels())
    if free > 2:
        for value in (0.5, 1.0):
            yield (*(View(),) * (free - 1), Number(value))
    if free == 2:
        yield (Probabilities(), Labels())
        yield (Probabilities(), Probabilities())
    yield (Vector(),) * free
    for width in dict.fromkeys((*widths, 2, 1, 3, 4, 8, 16, 32, 64, 128, 784)):
        yield (View(width),) * free
        if free == 2:
            yield (View(width), Labels(2))
    for shape in ((1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 32, 32)):
        yield (Example(shape),) * free
    if len(widths) > 1 and free == 2:
        for first, second in itertools.permutations(widths, 2):
            yield (View(first), View(second))


def _widths(modules: Sequence[nn.Module]) -> list[int]:
    return [m.in_features for m in modules if isinstance(m, nn.Linear)]


def _word(item: Input) -> str:
    words = {View: "n x d", Labels: "labels", Vector: "n", Probabilities: "n x d in (0, 1)"}
    words[Sizes] = "n x d >= 0"
    if isinstance(item, View) and item.dim:
        return f"n x {item.dim}"
    if isinstance(item, Example):
        return " x ".join(map(str, ("n", *item.shape)))
    if isinstance(item, Number):
        return f"{item.value:g}"
    return words.get(type(item), type(item).__name__.lower())


def signature(inputs: Sequence[Input]) -> str:
    """Return in words what a subject is called with."""
    return ", ".join(map(_word, inputs))


def is_floating(a: object) -> TypeGuard[Tensor]:
    """Return whether an argument is a floating-point tensor, and so has a gradient."""
    return isinstance(a, Tensor) and a.is_floating_point()


def _integer(a: object) -> TypeGuard[Tensor]:
    return isinstance(a, Tensor) and not a.is_floating_point()


def _same(first: Any, second: Any) -> bool:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return first == second
    return first.shape == second.shape and bool(
        torch.equal(first.nan_to_num(), second.nan_to_num())
    )
