"""Everything of ours that the laws are run over: one row each.

HOW TO ADD A ROW. Find the list of your family below and add one line, with a fresh object
made by a lambda (it is called after `torch.manual_seed(0)`):

    ENERGIES:  EnergyRow("ring", lambda: energies.Ring())                     # (n, 2) -> (n,)
               EnergyRow("conv", lambda: energies.Convolutional(1, 8), Example((1, 8, 8)))
               EnergyRow("sparse", lambda: SparseCode(6, 4), View(6), View(4))  # E(x, z)
    TERMS:     TermRow("info_nce", lambda: terms.InfoNCE())                   # two (n, d) views
               TermRow("variance", lambda: terms.Variance(), views=1)
               TermRow("jepa", lambda: terms.Foo(), inputs=(View(), Labels()))
    SAMPLERS:  SamplerRow("mala", lambda: samplers.MALA(0.1), exact=True)
    METHODS:   MethodRow("vicreg", lambda batch: VICReg.example(batch[0]), pairs)

The traits that the energy declares are checked as they stand; `traits=` adds further ones
(for instance what is true only of this configuration). `least=` is the smallest batch that
the term accepts. A batch for a method is a function of (n, generator); `points`, `pairs`,
`indexed` and `images` are below.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ebm import Energy, Method, energies, samplers, terms
from ebm.samplers import Sampler
from ebm.testing.inputs import Bits, Example, Input, Labels, View
from ebm.traits import Trait

__all__ = ["ENERGIES", "METHODS", "SAMPLERS", "TERMS", "Bits", "Example", "Labels", "View"]


@dataclass(frozen=True)
class EnergyRow:
    """An energy over configurations: one number per example."""

    name: str
    build: Callable[[], Energy]
    inputs: tuple[Input, ...] = (View(2),)
    traits: tuple[Trait, ...] = ()

    def __init__(
        self,
        name: str,
        build: Callable[[], Energy],
        *inputs: Input,
        traits: tuple[Trait, ...] = (),
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "build", build)
        object.__setattr__(self, "inputs", inputs or (View(2),))
        object.__setattr__(self, "traits", traits)


@dataclass(frozen=True)
class TermRow:
    """An energy over joint embeddings."""

    name: str
    build: Callable[[], Energy]
    views: int = 2
    inputs: tuple[Input, ...] = ()
    """What it is called with, where that is not `views` matrices of one shape."""
    traits: tuple[Trait, ...] = ()
    least: int = 2
    """The smallest batch that it accepts."""


@dataclass(frozen=True)
class SamplerRow:
    """A sampler of exp(-E / temperature)."""

    name: str
    build: Callable[[], Sampler]
    exact: bool = False
    """Whether it leaves the target exactly invariant (a rejection step, or exact draws)."""


Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class MethodRow:
    """A method with the batch that its `terms` takes."""

    name: str
    build: Callable[[Batch], Method]
    batch: Callable[[int, torch.Generator], Batch]
    n: int = 16
    frozen: tuple[str, ...] = field(default=())
    """Parameters that get no gradient by design, by the start of their name."""


def points(n: int, generator: torch.Generator) -> Batch:
    """Return 2-D points."""
    return (torch.randn(n, 2, generator=generator),)


def pairs(n: int, generator: torch.Generator) -> Batch:
    """Return two noisy views of 2-D points."""
    x = torch.randn(n, 2, generator=generator)
    noise = torch.randn(2, n, 2, generator=generator)
    return x + 0.1 * noise[0], x + 0.1 * noise[1]


def indexed(n: int, generator: torch.Generator) -> Batch:
    """Return 2-D points with their indices in the data."""
    return (*points(n, generator), torch.arange(n))


def images(n: int, generator: torch.Generator) -> Batch:
    """Return 8x8 images of one channel, values in [0, 1]."""
    return (torch.rand(n, 1, 8, 8, generator=generator),)


def method(path: str) -> type[Method]:
    """Return a method's class, "family.module.Class", imported when it is used."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(f"methods.{module}"), name)


ENERGIES: list[EnergyRow] = [
    EnergyRow("quadratic", lambda: energies.Quadratic()),
    EnergyRow("mlp", lambda: energies.MLP(2, hidden=(16, 16))),
    EnergyRow("sum", lambda: energies.MLP(2, hidden=(8,)) + 0.5 * energies.Quadratic()),
]

TERMS: list[TermRow] = []

SAMPLERS: list[SamplerRow] = [
    SamplerRow("langevin", lambda: samplers.Langevin(0.05)),
]

METHODS: list[MethodRow] = [
    MethodRow(
        "contrastive_divergence",
        lambda batch: method("contrastive.contrastive_divergence.ContrastiveDivergence").example(
            batch[0]
        ),
        points,
    ),
]

_ = terms  # rows of the terms are added as the terms arrive
