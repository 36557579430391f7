"""The core abstraction: an energy gives one number per example, and energies add.

p(x) is proportional to exp(-E(x) / temperature): low is likely, and the score is -dE/dx.
"""

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from types import CellType
from typing import TYPE_CHECKING, Any, SupportsFloat

import torch
from torch import Tensor, nn

from ebm import checks
from ebm.traits import Reach, Trait, combine

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Energy(nn.Module):
    """A module that gives one number per example, low where the example fits.

    Write `forward(self, x, *given)` and return shape `(batch,)`, or `()` for an energy of
    the batch as a whole. The first argument is free (sampled, scored, drawn); what follows
    is given. Energies add, scale, mix and compose:

    >>> import ebm, torch
    >>> energy = ebm.energies.Ring() + 0.1 * ebm.energies.Quadratic()
    >>> energy(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    reach: Reach = Reach.OWN
    traits: tuple[Trait, ...] = ()
    __array_ufunc__ = None  # numpy numbers leave the product to us

    if TYPE_CHECKING:
        __call__: Callable[..., Tensor]

    @property
    def name(self) -> str:
        """The name under which this energy is logged and plotted."""
        return _WORDS.sub("_", type(self).__name__).lower()

    def parts(self, x: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the named, weighted, unreduced summands; their sum is the energy."""
        return {self.name: self(x, *given)}

    def over(self, *encoders: nn.Module | Callable[..., Tensor]) -> "Energy":
        """Return this energy of the encoded inputs.

        One encoder serves all inputs; several serve one input each, in order.
        """
        return Over(self, *encoders)

    def given(self, *given: Tensor) -> "Energy":
        """Return the energy of x alone, with what follows it held fixed.

        A tensor with one row is repeated for every x; otherwise row i belongs to x[i].
        """
        return Given(self, *given)

    def __add__(self, other: "Energy | Callable[..., Tensor]") -> "Energy":
        if isinstance(other, Real) and other == 0:  # sum([...]) starts at 0
            return self
        if not callable(other):
            return NotImplemented
        return Sum([*_summands(self), *_summands(as_energy(other))])

    __radd__ = __add__

    def __mul__(self, weight: SupportsFloat) -> "Energy":
        if not isinstance(weight, Real) or not math.isfinite(weight):
            raise TypeError(
                f"weight must be a finite number, got {weight!r}. "
                "Put a learned weight inside an Energy's forward."
            )
        return Sum([(float(weight) * own, term) for own, term in _summands(self)])

    __rmul__ = __mul__

    def __truediv__(self, temperature: float) -> "Energy":
        return self * (1 / checks.positive("temperature", temperature))

    def __neg__(self) -> "Energy":
        return self * -1.0

    def __sub__(self, other: "Energy | Callable[..., Tensor]") -> "Energy":
        return self + -as_energy(other)


class Sum(Energy):
    """A weighted sum of energies: the product of their experts.

    It reaches as far as its farthest part and has the traits common to all of them.
    """

    def __init__(self, summands: Sequence[tuple[float, Energy]]) -> None:
        super().__init__()
        self.weights = tuple(weight for weight, _ in summands)
        self.terms = nn.ModuleList(term for _, term in summands)

    @property
    def summands(self) -> list[tuple[float, Energy]]:
        """The weights and the energies that they multiply."""
        return list(zip(self.weights, self.terms, strict=True))  # pyright: ignore[reportReturnType]

    @property
    def reach(self) -> Reach:
        """The reach of the farthest part."""
        return max(term.reach for _, term in self.summands)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """The traits common to the parts, their numbers weighted and added."""
        return combine([(weight, term.traits) for weight, term in self.summands])

    @property
    def name(self) -> str:
        """The name of the only part, or "sum"."""
        return self.summands[0][1].name if len(self.weights) == 1 else "sum"

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the weighted sum of the parts.

        Raises:
            ValueError: A part whose reach is its own example returns another shape than one
                value per example, which would broadcast.
        """
        values = [_times(weight, term(x, *given)) for weight, term in self.summands]
        if len({value.shape for value in values}) > 1:
            for (_, term), value in zip(self.summands, values, strict=True):
                if term.reach == Reach.OWN:
                    checks.one_per_example(value, len(x), term.name)
        return functools.reduce(torch.add, values)

    def parts(self, x: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the weighted parts by name; repeated names get a suffix."""
        named: dict[str, Tensor] = {}
        for weight, term in self.summands:
            for name, value in term.parts(x, *given).items():
                named[_unused(name, named)] = _times(weight, value)
        return named

    def __repr__(self) -> str:
        """Return the sum as it is written."""
        pieces = [f"{w:g} * {t!r}" if w != 1 else repr(t) for w, t in self.summands]
        return " + ".join(pieces)


class Mixture(Energy):
    """-log(sum_k exp(-E_k)): the mixture of the components' densities, unnormalized."""

    def __init__(self, *components: Energy) -> None:
        super().__init__()
        for component in components:
            checks.own_reach(component, "a mixture")
        self.components = nn.ModuleList(components)

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the soft minimum of the components' energies."""
        values = [checks.one_per_example(e(x, *given), len(x)) for e in self.components]
        return -torch.logsumexp(-torch.stack(values), dim=0)


class Over(Energy):
    """An energy of encoded inputs."""

    def __init__(self, energy: Energy, *encoders: nn.Module | Callable[..., Tensor]) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("over must get at least one encoder, got none. Pass over(encoder).")
        self.energy = energy
        self.encoders = nn.ModuleList(_as_module(encoder) for encoder in encoders)

    @property
    def reach(self) -> Reach:
        """The reach of the energy of the embeddings."""
        return self.energy.reach

    @property
    def name(self) -> str:
        """The name of the energy of the embeddings."""
        return self.energy.name

    def encode(self, *inputs: Tensor) -> list[Tensor]:
        """Return the embeddings of the inputs."""
        encoders = list(self.encoders)
        if len(encoders) == 1:
            encoders *= len(inputs)
        if len(encoders) != len(inputs):
            raise ValueError(
                f"inputs must be as many as the encoders, got {len(inputs)} inputs and "
                f"{len(encoders)} encoders. Pass one encoder for all, or one for each."
            )
        return [encoder(x) for encoder, x in zip(encoders, inputs, strict=True)]

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the energy of the embeddings."""
        return self.energy(*self.encode(x, *given))

    def parts(self, x: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the parts of the energy, every input encoded once."""
        return self.energy.parts(*self.encode(x, *given))


class Given(Energy):
    """An energy of x alone: what follows is held fixed and moves with the module."""

    def __init__(self, energy: Energy, *given: Tensor) -> None:
        super().__init__()
        self.energy = energy
        self.count = len(given)
        for i, value in enumerate(given):
            self.register_buffer(f"given_{i}", torch.as_tensor(value), persistent=False)

    @property
    def reach(self) -> Reach:
        """The reach of the energy."""
        return self.energy.reach

    @property
    def name(self) -> str:
        """The name of the energy."""
        return self.energy.name

    def _for(self, x: Tensor) -> list[Tensor]:
        values = [getattr(self, f"given_{i}") for i in range(self.count)]
        for value in values:
            if value.ndim == 0 or len(value) not in (1, len(x)):
                raise ValueError(
                    f"given must have 1 row or {len(x)}, as many as x, got shape "
                    f"{tuple(value.shape)}. Index one example with y[i : i + 1]."
                )
        return [v.expand(len(x), *v.shape[1:]) for v in values]

    def forward(self, x: Tensor) -> Tensor:
        """Return the energy of x and what is given."""
        return self.energy(x, *self._for(x))

    def parts(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parts of the energy of x and what is given."""
        return self.energy.parts(x, *self._for(x))


class Function(Energy):
    """Any callable as an energy; its owner is found for `eval()`, not registered."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function  # a module becomes a child, anything else stays outside

    @property
    def reach(self) -> Reach:
        """The reach that the callable states, its own example if it states none."""
        return getattr(self.function, "reach", Reach.OWN)

    @property
    def traits(self) -> tuple[Trait, ...]:
        """The traits that the callable states."""
        return tuple(getattr(self.function, "traits", ()))

    @property
    def name(self) -> str:
        """The name of the function."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return "energy" if name == "<lambda>" else name.lower()

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return what the callable returns."""
        return self.function(x, *given)


class Frozen:
    """A module seen without its parameters: gradients pass through it, none reach it."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, *inputs: Tensor) -> Any:
        """Return the module's output, its parameters held constant."""
        with without_parameters(self.module):
            return self.module(*inputs)


def as_energy(energy: Energy | Callable[..., Tensor]) -> Energy:
    """Return the callable as an Energy, with the algebra; an Energy is returned as it is.

    Raises:
        TypeError: The argument is not callable.
    """
    if isinstance(energy, Energy):
        return energy
    if isinstance(energy, type):
        raise TypeError(
            f"energy must be an instance, got the class {energy.__name__}. "
            f"Write {energy.__name__}(...)."
        )
    if not callable(energy):
        raise TypeError(
            f"energy must be callable, got {type(energy).__name__}. "
            "Pass an Energy or a function x -> (batch,)."
        )
    return Function(energy)


def mixture(*components: Energy | Callable[..., Tensor]) -> Energy:
    """Return -log(sum_k exp(-E_k)), the energy of the mixture of the components.

    Component k weighs as much as its normalizer: equal weights need normalized energies.

    Raises:
        ValueError: No component, or one that depends on the rest of the batch.
    """
    if not components:
        raise ValueError("mixture must get at least one energy, got none. Pass mixture(a, b).")
    return Mixture(*(as_energy(component) for component in components))


def frozen(module: nn.Module) -> Frozen:
    """Return the module with its parameters held constant, for the player out of turn."""
    return Frozen(module)


def energy_and_score(
    energy: Energy | Callable[..., Tensor], x: Tensor, *given: Tensor, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the energies of x, shape (batch,), and the score -dE/dx, shaped like x.

    Raises:
        ValueError: The energy does not return one number per example, depends on the rest
            of the batch, or has no gradient in x.
    """
    energy = as_energy(energy)
    checks.own_reach(energy, "a score")
    checks.configurations("x", x)
    with torch.enable_grad():
        if not (create_graph and x.requires_grad):
            x = x.detach().requires_grad_()
        values = checks.one_per_example(energy(x, *given), len(x))
        if not values.requires_grad:
            raise ValueError(
                "energy must be differentiable in x, got values without a gradient. "
                "Remove .detach(), torch.no_grad() or argmax from the energy."
            )
        (score,) = torch.autograd.grad(
            values, x, -torch.ones_like(values), create_graph=create_graph, materialize_grads=True
        )
    return (values if create_graph else values.detach()), score


def score(
    energy: Energy | Callable[..., Tensor], x: Tensor, *given: Tensor, create_graph: bool = False
) -> Tensor:
    """Return the score -dE/dx, shaped like x: the direction in which the density grows.

    With `create_graph`, the score can be differentiated, in the parameters and in x.

    >>> import ebm, torch
    >>> ebm.score(ebm.energies.Quadratic(), torch.ones(1, 2))
    tensor([[-1., -1.]])

    Raises:
        ValueError: The energy does not return one number per example, depends on the rest
            of the batch, or has no gradient in x.
    """
    return energy_and_score(energy, x, *given, create_graph=create_graph)[1]


def inputs(energy: Energy | Callable[..., Any]) -> int:
    """Return how many tensors an energy takes: its required positional parameters."""
    if isinstance(energy, Sum):
        return max(inputs(term) for _, term in energy.summands)
    if isinstance(energy, Mixture):
        return max(inputs(component) for component in energy.components)
    if isinstance(energy, Over):
        return inputs(energy.energy)
    if isinstance(energy, Function):
        return inputs(energy.function)
    if isinstance(energy, Frozen):
        return inputs(energy.module)
    call = energy.forward if isinstance(energy, nn.Module) else energy
    positional = [
        parameter
        for parameter in inspect.signature(call).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    return max(1, len(positional))


def modules(energy: Any) -> Iterator[nn.Module]:
    """Yield the modules behind a callable, once each: itself, its owner, what it closes over."""
    seen: set[int] = set()
    ahead = [energy]
    while ahead:
        thing = ahead.pop()
        if id(thing) in seen:
            continue
        if not inspect.ismethod(thing):  # made anew at every look: its id says nothing
            seen.add(id(thing))
        if isinstance(thing, nn.Module):
            yield thing
            ahead += reversed(list(thing.children()))
            if isinstance(thing, Function) and not isinstance(thing.function, nn.Module):
                ahead.append(thing.function)
        elif isinstance(thing, Frozen):
            ahead.append(thing.module)
        elif isinstance(thing, functools.partial):
            ahead += [thing.func, *thing.args, *thing.keywords.values()]
        elif inspect.ismethod(thing):
            ahead.append(thing.__self__)
        elif inspect.isfunction(thing):
            ahead += [cell.cell_contents for cell in thing.__closure__ or () if _filled(cell)]


@contextmanager
def evaluating(*energies: Any) -> Iterator[None]:
    """Run the modules behind these callables in eval mode, then restore every flag."""
    found = [(module, module.training) for energy in energies for module in modules(energy)]
    try:
        for module, _ in found:
            module.training = False
        yield
    finally:
        for module, training in found:
            module.training = training


@contextmanager
def without_parameters(*energies: Any) -> Iterator[None]:
    """Take the parameters behind these callables out of the graph, then restore them."""
    found = {
        parameter: parameter.requires_grad
        for energy in energies
        for module in modules(energy)
        for parameter in module.parameters(recurse=False)
    }
    try:
        for parameter in found:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, required in found.items():
            parameter.requires_grad_(required)


def _summands(energy: Energy) -> list[tuple[float, Energy]]:
    return energy.summands if isinstance(energy, Sum) else [(1.0, energy)]


def _times(weight: float, value: Tensor) -> Tensor:
    return value if weight == 1 else weight * value


def _unused(name: str, taken: dict[str, Tensor]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _as_module(encoder: nn.Module | Callable[..., Tensor]) -> nn.Module:
    return encoder if isinstance(encoder, nn.Module) else Function(encoder)


def _filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the name is not bound yet
        return False
