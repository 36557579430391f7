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
    METHODS:   nothing: every name in `methods.__all__` is taken through its `example`

The traits that the energy declares are checked as they stand; `traits=` adds further ones
(for instance what is true only of this configuration). `least=` is the smallest batch that
the term accepts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import methods
from ebm import Energy, Method, energies, latent, mixture, networks, samplers, terms
from ebm.samplers import Sampler
from ebm.testing.inputs import (
    Bits,
    Example,
    Input,
    Labels,
    Negatives,
    Scalar,
    Sizes,
    View,
)
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
    plain: Callable[[int, torch.Generator], Batch] | None = None
    """What `sweep` sees, where that is not the batch."""
    n: int = 32
    frozen: tuple[str, ...] = ()
    """Parameters that get no gradient by design, by the start of their name."""


ENERGIES: list[EnergyRow] = [
    EnergyRow("quadratic", lambda: energies.Quadratic()),
    EnergyRow("gaussian", lambda: energies.Gaussian((0.5, -1.0), ((1.0, 0.3), (0.3, 0.5)))),
    EnergyRow("gaussian_mixture", lambda: energies.GaussianMixture(covariances=0.3)),
    EnergyRow("double_well", lambda: energies.DoubleWell()),
    EnergyRow("ring", lambda: energies.Ring()),
    EnergyRow("banana", lambda: energies.Banana()),
    EnergyRow("funnel", lambda: energies.Funnel(dim=3), View(3)),
    EnergyRow("rosenbrock", lambda: energies.Rosenbrock()),
    EnergyRow("himmelblau", lambda: energies.Himmelblau()),
    EnergyRow("mlp", lambda: energies.MLP(2, hidden=(16, 16))),
    EnergyRow("mlp_spectral", lambda: energies.MLP(2, hidden=(8,), spectral_norm=True).eval()),
    EnergyRow(
        "convolutional", lambda: energies.Convolutional(1, 8, widths=(4, 8)), Example((1, 8, 8))
    ),
    EnergyRow(
        "reconstruction_error", lambda: energies.ReconstructionError(networks.MLP([2, 8, 2]))
    ),
    EnergyRow("sum", lambda: energies.MLP(2, hidden=(8,)) + 0.5 * energies.Quadratic()),
    EnergyRow("mixture", lambda: mixture(energies.Quadratic(), energies.Gaussian((2.0, 0.0)))),
    EnergyRow("tempered", lambda: energies.DoubleWell() / 0.5),
    EnergyRow("boltzmann_machine", lambda: energies.BoltzmannMachine(4, 2), Bits(4)),
    EnergyRow("rbm", lambda: energies.RestrictedBoltzmannMachine(4, 3), Bits(4)),
    EnergyRow("sparse_code", lambda: latent.SparseCode(torch.randn(5, 4)), View(4), View(5)),
]

TERMS: list[TermRow] = [
    TermRow("invariance", lambda: terms.Invariance()),
    TermRow("alignment", lambda: terms.Alignment()),
    TermRow("cosine", lambda: terms.Cosine()),
    TermRow("reconstruction", lambda: terms.Reconstruction()),
    TermRow("variance", lambda: terms.Variance()),
    TermRow("variance_paper", lambda: terms.Variance.paper()),
    TermRow("covariance", lambda: terms.Covariance()),
    TermRow("vicreg", lambda: 25 * terms.Invariance() + 25 * terms.Variance() + terms.Covariance()),
    TermRow("cross_correlation", lambda: terms.CrossCorrelation()),
    TermRow("cross_correlation_exact", lambda: terms.CrossCorrelation(eps=0.0)),
    TermRow("info_nce", lambda: terms.InfoNCE()),
    TermRow("info_nce_cold", lambda: terms.InfoNCE(temperature=0.05)),
    TermRow("info_nce_clip", lambda: terms.InfoNCE.clip()),
    TermRow("nt_xent", lambda: terms.NTXent()),
    TermRow("nt_xent_official", lambda: terms.NTXent.official()),
    TermRow("decoupled", lambda: terms.Decoupled()),
    TermRow("decoupled_weighted", lambda: terms.Decoupled.weighted()),
    TermRow("triplet", lambda: terms.Triplet(), views=3),
    TermRow("triplet_paper", lambda: terms.Triplet.paper(), views=3),
    TermRow("uniformity", lambda: terms.Uniformity(), views=1),
    TermRow("whitening", lambda: terms.Whitening(), least=8),
    TermRow("whitening_shrunk", lambda: terms.Whitening(eps=0.1), least=4),
    TermRow("transformation_covariance", lambda: terms.TransformationCovariance(), views=1),
    TermRow("swapped_prediction", lambda: terms.SwappedPrediction()),
    TermRow("distillation", lambda: terms.Distillation()),
    TermRow(
        "instance_contrast",
        lambda: terms.InstanceContrast(100),
        inputs=(View(), View(), Negatives(5), Scalar(3.0)),
    ),
    *(
        TermRow(
            f"margin_{loss.name}",
            partial(getattr(terms.MarginLoss, loss.name)),
            inputs=(Sizes() if loss.nonnegative else View(), Labels()),
        )
        for loss in terms.MarginLoss.table()
    ),
]

ELSEWHERE: set[str] = set()
"""Exported energies and terms that take other inputs and have their laws in a test of their own."""

SAMPLERS: list[SamplerRow] = [
    SamplerRow("langevin", lambda: samplers.Langevin(0.05)),
    SamplerRow("langevin_cold", lambda: samplers.Langevin(0.05, temperature=0.5)),
    SamplerRow("descent", lambda: samplers.Langevin(0.05, temperature=0.0)),
    SamplerRow("mala", lambda: samplers.MALA(0.2), exact=True),
    SamplerRow("mala_warm", lambda: samplers.MALA(0.1, temperature=2.0), exact=True),
    SamplerRow("hmc", lambda: samplers.HMC(0.3, leapfrog_steps=4), exact=True),
    SamplerRow(
        "hmc_cold", lambda: samplers.HMC(0.2, leapfrog_steps=3, temperature=0.5), exact=True
    ),
    SamplerRow("underdamped", lambda: samplers.UnderdampedLangevin(0.2)),
    SamplerRow(
        "tempering",
        lambda: samplers.ParallelTempering(
            [samplers.MALA(0.1), samplers.MALA(0.3, temperature=3.0)]
        ),
        exact=True,
    ),
    SamplerRow("gibbs", lambda: samplers.Gibbs(), exact=True),
    SamplerRow("gibbs_warm", lambda: samplers.Gibbs(temperature=2.0), exact=True),
    SamplerRow("gibbs_with_gradients", lambda: samplers.GibbsWithGradients(), exact=True),
    SamplerRow("block_gibbs", lambda: samplers.BlockGibbs(), exact=True),
]


def row(cls: type[Method], shape: tuple[int, ...] = (2,), **hyper: object) -> MethodRow:
    """Return the row of a method, built by its `example` from normal data of a shape."""

    def data(n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    def plain(n: int, generator: torch.Generator) -> Batch:
        found, _ = cls.example_inputs(data(n, generator))
        return found if isinstance(found, tuple) else (found,)

    def batch(n: int, generator: torch.Generator) -> Batch:
        found, views = cls.example_inputs(data(n, generator))
        found = found if isinstance(found, tuple) else (found,)
        made = found if views is None else views(*found)
        return made if isinstance(made, tuple) else (made,)

    def build(_: Batch) -> Method:
        return cls.example(data(32, torch.Generator().manual_seed(0)), **hyper)

    return MethodRow(cls.__name__, build, batch, plain)


def joint_energy(_: Batch) -> Method:
    """Return the classifier whose logits are an energy."""
    return methods.JointEnergy.example(labeled(32, torch.Generator().manual_seed(0)))


def labeled(n: int, generator: torch.Generator) -> Batch:
    """Return normal points and three classes."""
    return torch.randn(n, 2, generator=generator), torch.arange(n) % 3


def masked_tokens(_: Batch) -> Method:
    """Return the network that fills in hidden tokens."""
    return methods.MaskedTokens.example(sequences(32, torch.Generator().manual_seed(0))[0])


def sequences(n: int, generator: torch.Generator) -> Batch:
    """Return sequences of six tokens of three kinds."""
    return (torch.randint(0, 3, (n, 6), generator=generator),)


SPECIAL = {
    "JointEnergy": MethodRow("JointEnergy", joint_energy, labeled),
    "MaskedTokens": MethodRow("MaskedTokens", masked_tokens, sequences),
}
"""Methods of other data than points in the plane."""

METHODS: list[MethodRow] = [
    SPECIAL.get(name) or row(getattr(methods, name)) for name in methods.__all__
]
"""Every exported method, on points in the plane; a row of its own where it needs more."""
