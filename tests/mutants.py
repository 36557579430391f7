"""Real bugs, seeded into copies of losses, energies, samplers, methods and inference rules.

Each function is the right formula with one thing wrong, and the comment above it tells the
story. `tests/test_mutations.py` holds every one against the laws that the right one obeys.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F  # noqa: N812

from ebm import Energy, Method, as_energy, latent, score, terms
from ebm.distributed import gather
from ebm.latent.dictionary import into_unit_ball
from ebm.memory import Bank, Center, Queue, Replay, Teacher
from ebm.samplers import (
    HMC,
    MALA,
    Gibbs,
    GibbsWithGradients,
    Langevin,
    ParallelTempering,
    State,
    UnderdampedLangevin,
)
from ebm.samplers import gibbs as one_unit
from ebm.samplers.sampler import noise_like
from ebm.testing.inputs import Input, Labels, Sizes, View
from ebm.testing.laws.latents import Inferring, Shrinking, Softening
from ebm.testing.laws.memories import Store
from ebm.testing.laws.methods import Trainee
from ebm.testing.laws.objectives import Objective
from ebm.testing.laws.partitions import Assigning, Passing
from ebm.testing.laws.samplers import Kernel
from ebm.testing.laws.shards import Spread
from ebm.testing.subject import Subject
from ebm.traits import (
    BatchPermutation,
    CollapseValue,
    DimensionPermutation,
    Homogeneous,
    LowerBound,
    MonotoneInNegatives,
    PerViewAffine,
    PerViewTranslation,
    PositiveScale,
    PreventsCollapse,
    PushPull,
    Rotation,
    ShiftInvariance,
    SignFlip,
    StopGradient,
    Target,
    Trait,
    Translation,
    UndecidedValue,
    UpperBound,
    Views,
    ViewSwap,
)

T = 0.5


@dataclass(frozen=True)
class Mutant:
    name: str
    build: Callable[[], Any]
    """Makes the subject: a Subject, Kernel, Trainee, Objective, Store, ..."""
    slow: bool = False
    """Whether only a descent shows it."""


DESCENTS = {
    "rate_without_the_one",
    "diagonal_in_the_covariance",
    "temperature_multiplies",
    "unbiased_with_biased",
    "vicreg",
}
MUTANTS: list[Mutant] = []
CORRECT: list[Mutant] = []


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


def own(s: Tensor) -> Tensor:
    return s.diagonal()


# --- contrastive losses ------------------------------------------------------------------

EMBEDDED = (
    Views(2),
    BatchPermutation(),
    Rotation(),
    SignFlip(),
    DimensionPermutation(),
    PositiveScale(),
    PreventsCollapse(),
)
INFO_NCE: tuple[Trait, ...] = (
    *EMBEDDED,
    MonotoneInNegatives(),
    LowerBound(lambda n, d: math.log1p((n - 1) * math.exp(-n / ((n - 1) * T))), attained=True),
    CollapseValue(lambda n, d: math.log(n)),
)
NT_XENT: tuple[Trait, ...] = (
    *EMBEDDED,
    ViewSwap(),
    LowerBound(lambda n, d: math.log1p((2 * n - 2) * math.exp(-n / ((n - 1) * T))), attained=True),
    CollapseValue(lambda n, d: math.log(2 * n - 1)),
)
DCL: tuple[Trait, ...] = (*EMBEDDED, ViewSwap(), CollapseValue(lambda n, d: math.log(2 * n - 2)))


def loss(
    traits: tuple[Trait, ...], inputs: tuple[Input, ...] = (View(), View()), *, right: bool = False
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Return a decorator that enters a loss with the traits of the right one."""

    def entered(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        name = function.__name__
        made = Mutant(name, lambda: Subject(function, inputs, traits, name), name in DESCENTS)
        (CORRECT if right else MUTANTS).append(made)
        return function

    return entered


def pairs(x: Tensor, y: Tensor) -> Tensor:
    z = unit(torch.cat([x, y]))
    return z @ z.T / T


def without_self(s: Tensor) -> Tensor:
    return s.masked_fill(torch.eye(len(s), dtype=torch.bool), -math.inf)


def partner(s: Tensor) -> Tensor:
    n = len(s) // 2
    return torch.cat([s.diagonal(n), s.diagonal(-n)])


@loss(INFO_NCE, right=True)
def info_nce(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    return torch.logsumexp(s, 1) - own(s)


@loss(NT_XENT, right=True)
def nt_xent(x: Tensor, y: Tensor) -> Tensor:
    s = pairs(x, y)
    return (torch.logsumexp(without_self(s), 1) - partner(s)).mean()


@loss(DCL, right=True)
def decoupled(x: Tensor, y: Tensor) -> Tensor:
    s = pairs(x, y)
    index = torch.arange(len(s)) % len(x)
    negatives = s.masked_fill(index[:, None] == index, -math.inf)
    return (torch.logsumexp(negatives, 1) - partner(s)).mean()


# Wrong negatives (lightning-bolts PR#253): the example itself stays in the denominator.
@loss(NT_XENT)
def self_among_negatives(x: Tensor, y: Tensor) -> Tensor:
    s = pairs(x, y)
    return (torch.logsumexp(s, 1) - partner(s)).mean()


# Negatives of one view only where both belong: N logits are called NT-Xent.
@loss(NT_XENT)
def half_of_the_negatives(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    return (torch.logsumexp(s, 1) - own(s)).mean()


# The positive left out of the denominator of a loss that says it is in it.
@loss(NT_XENT)
def positive_not_in_denominator(x: Tensor, y: Tensor) -> Tensor:
    return decoupled(x, y)


# info-nce-pytorch PR#17: the temperature does not reach the positive.
@loss(INFO_NCE)
def temperature_misses_the_positive(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T
    return torch.logsumexp(s / T, 1) - own(s)


# A parameter called temperature that multiplies (or a logit_scale that divides).
@loss(INFO_NCE)
def temperature_multiplies(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T * T
    return torch.logsumexp(s, 1) - own(s)


# CEBRA #48: the log-sum-exp shift, a row's maximum, is subtracted from the columns.
@loss(INFO_NCE)
def shift_on_the_wrong_axis(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    s = s - s.amax(1).detach()
    return torch.logsumexp(s, 1) - own(s)


# pytorch-metric-learning #282: the row's maximum is part of the graph on one side only.
@loss(INFO_NCE)
def row_maximum_not_detached(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    top = s.amax(1, keepdim=True)
    return (s - top).exp().sum(1).log() + top.detach().squeeze(1) - own(s)


# The maximum is subtracted for safety and never added back.
@loss(INFO_NCE)
def maximum_not_added_back(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    return torch.logsumexp(s - s.amax(1, keepdim=True).detach(), 1) - own(s)


# lightly #1176: labels without their offset; the positive is another example.
@loss(INFO_NCE)
def labels_off_by_one(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    return F.cross_entropy(s, torch.arange(len(s)).roll(1), reduction="none")


# An inverted sign: positives are pushed apart.
@loss(INFO_NCE)
def inverted_sign(x: Tensor, y: Tensor) -> Tensor:
    return info_nce(x, -y)


# Summed over the batch where the mean is meant: the scale follows the batch size.
@loss(NT_XENT)
def sum_for_mean(x: Tensor, y: Tensor) -> Tensor:
    return nt_xent(x, y) * len(x)


# Half the sum of two views, once too often.
@loss(NT_XENT)
def halved_twice(x: Tensor, y: Tensor) -> Tensor:
    return nt_xent(x, y) / 2


# Embeddings that were to be normalized by the caller are not.
@loss(INFO_NCE)
def not_normalized(x: Tensor, y: Tensor) -> Tensor:
    s = x @ y.T / T
    return torch.logsumexp(s, 1) - own(s)


# Normalized over the batch axis instead of the features.
@loss(INFO_NCE)
def normalized_over_the_batch(x: Tensor, y: Tensor) -> Tensor:
    s = F.normalize(x, dim=0) @ F.normalize(y, dim=0).T / T
    return torch.logsumexp(s, 1) - own(s)


# A queue that is appended to before it is scored: the positive is also a negative (log 2).
@loss(INFO_NCE)
def positive_among_its_negatives(x: Tensor, y: Tensor) -> Tensor:
    s = unit(x) @ unit(y).T / T
    return torch.logsumexp(torch.cat([own(s)[:, None], s], 1), 1) - own(s)


# exp, then log (solo-learn): overflows for unnormalized scores.
@loss((Views(2), BatchPermutation()))
def exp_then_log(x: Tensor, y: Tensor) -> Tensor:
    s = x @ y.T / T
    return -(own(s).exp() / s.exp().sum(1)).log()


# lightly #1826: two log-sum-exps are added, of own-view and of cross-view negatives.
@loss(DCL)
def two_log_sum_exps(x: Tensor, y: Tensor) -> Tensor:
    n, s = len(x), pairs(x, y)
    index = torch.arange(2 * n) % n
    negatives = s.masked_fill(index[:, None] == index, -math.inf)
    own_view, cross = negatives[:n, :n], negatives[:n, n:]
    return (torch.logsumexp(own_view, 1) + torch.logsumexp(cross, 1) - own(s[:n, n:])).mean()


# AVID: the keys of one direction copied into the other, so that one term equals another.
@loss((*EMBEDDED, ViewSwap()))
def keys_copied(x: Tensor, y: Tensor) -> Tensor:
    return (info_nce(x, y) + info_nce(x, y)).mean() / 2


# --- regularized losses ------------------------------------------------------------------

STATISTIC = (
    Views(2),
    BatchPermutation(),
    ViewSwap(),
    SignFlip(),
    DimensionPermutation(),
    Translation(),
    PerViewTranslation(),
)
BARLOW: tuple[Trait, ...] = (
    *STATISTIC,
    PerViewAffine(),
    PreventsCollapse(),
    CollapseValue(lambda n, d: d),
    LowerBound(0.0),
)


def standardized(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()


def correlation(c: Tensor) -> Tensor:
    off = c.square().sum() - c.diagonal().square().sum()
    return (1 - c.diagonal()).square().sum() + 0.005 * off


@loss(BARLOW, right=True)
def barlow(x: Tensor, y: Tensor) -> Tensor:
    return correlation(standardized(x).T @ standardized(y) / len(x))


# lightly PR#1806: the statistics of both views together.
@loss(BARLOW)
def joint_statistics(x: Tensor, y: Tensor) -> Tensor:
    z = standardized(torch.cat([x, y]))
    return correlation(z[: len(x)].T @ z[len(x) :] / len(x))


# The mean over the features is removed instead of the mean over the batch.
@loss(BARLOW)
def centered_over_the_features(x: Tensor, y: Tensor) -> Tensor:
    x, y = (z - z.mean(1, keepdim=True) for z in (x, y))
    x, y = (z / (z.square().mean(0) + 1e-5).sqrt() for z in (x, y))
    return correlation(x.T @ y / len(x))


# One view is standardized and the other is taken as it comes.
@loss(BARLOW)
def second_view_as_it_comes(x: Tensor, y: Tensor) -> Tensor:
    return correlation(standardized(x).T @ y / len(x))


# No eps: a constant dimension gives NaN.
@loss(BARLOW)
def no_eps(x: Tensor, y: Tensor) -> Tensor:
    x, y = ((z - z.mean(0)) / z.std(0, correction=0) for z in (x, y))
    return correlation(x.T @ y / len(x))


# Unbiased deviations with 1/N: the diagonal stops at (N - 1) / N and never reaches 1.
@loss((*STATISTIC, LowerBound(0.0, attained=True)))
def unbiased_with_biased(x: Tensor, y: Tensor) -> Tensor:
    x, y = ((z - z.mean(0)) / (z.var(0) + 1e-9).sqrt() for z in (x, y))
    return correlation(x.T @ y / len(x))


# Standardized in place: the caller's embeddings change.
@loss(BARLOW)
def standardized_in_place(x: Tensor, y: Tensor) -> Tensor:
    x -= x.mean(0)
    return barlow(x, y)


# 1 - C instead of its square on the diagonal: nothing bounds it below.
@loss(BARLOW)
def diagonal_not_squared(x: Tensor, y: Tensor) -> Tensor:
    c = standardized(x).T @ standardized(y) / len(x)
    return (1 - 2 * c.diagonal()).sum() + 0.005 * (c.square().sum() - c.diagonal().square().sum())


# The whole trace divided by the dimension: collapse costs 1, not D.
@loss(BARLOW)
def divided_by_the_dimension(x: Tensor, y: Tensor) -> Tensor:
    return barlow(x, y) / x.shape[1]


VICREG: tuple[Trait, ...] = (
    Views(2),
    BatchPermutation(),
    ViewSwap(),
    SignFlip(),
    DimensionPermutation(),
    Translation(),
    PreventsCollapse(),
    CollapseValue(2 * 0.99 * 25),
    LowerBound(0.0, attained=True),
)


def hinge(z: Tensor) -> Tensor:
    return (1 - (z.var(0) + 1e-4).sqrt()).relu().mean()


def off_diagonal(z: Tensor) -> Tensor:
    z = z - z.mean(0)
    c = z.T @ z / (len(z) - 1)
    return (c.square().sum() - c.diagonal().square().sum()) / z.shape[1]


def vicreg_of(x: Tensor, y: Tensor, v: Tensor, c: Tensor) -> Tensor:
    return 25 * F.mse_loss(x, y) + 25 * v + c


@loss(VICREG, right=True)
def vicreg(x: Tensor, y: Tensor) -> Tensor:
    return vicreg_of(x, y, hinge(x) + hinge(y), off_diagonal(x) + off_diagonal(y))


# vicreg #8: the variance term halved, against the paper's equation.
@loss(VICREG)
def variance_halved(x: Tensor, y: Tensor) -> Tensor:
    return vicreg_of(x, y, (hinge(x) + hinge(y)) / 2, off_diagonal(x) + off_diagonal(y))


# A hinge on the variance: its gradient vanishes where it is needed.
@loss(VICREG)
def hinge_on_the_variance(x: Tensor, y: Tensor) -> Tensor:
    v = sum((1 - (z.var(0) + 1e-4)).relu().mean() for z in (x, y))
    return vicreg_of(x, y, v, off_diagonal(x) + off_diagonal(y))


# eps outside the root: the gradient at a constant dimension is infinite.
@loss(VICREG)
def eps_outside_the_root(x: Tensor, y: Tensor) -> Tensor:
    v = sum((1 - (z.var(0).sqrt() + 1e-2)).relu().mean() for z in (x, y))
    return vicreg_of(x, y, v, off_diagonal(x) + off_diagonal(y))


# The covariance of uncentered embeddings.
@loss(VICREG)
def covariance_not_centered(x: Tensor, y: Tensor) -> Tensor:
    def off(z: Tensor) -> Tensor:
        c = z.T @ z / (len(z) - 1)
        return (c.square().sum() - c.diagonal().square().sum()) / z.shape[1]

    return vicreg_of(x, y, hinge(x) + hinge(y), off(x) + off(y))


# The diagonal stays in the covariance penalty and fights the variance term.
@loss(VICREG)
def diagonal_in_the_covariance(x: Tensor, y: Tensor) -> Tensor:
    def full(z: Tensor) -> Tensor:
        z = z - z.mean(0)
        return (z.T @ z / (len(z) - 1)).square().sum() / z.shape[1]

    return vicreg_of(x, y, hinge(x) + hinge(y), full(x) + full(y))


# VICRegL fast_vc_reg: the accumulator is overwritten by each view.
@loss(VICREG)
def last_view_only(x: Tensor, y: Tensor) -> Tensor:
    c = torch.zeros(())
    for z in (x, y):
        c = off_diagonal(z)
    return vicreg_of(x, y, hinge(x) + hinge(y), c)


# The first view's variance, twice (copied and not edited).
@loss(VICREG)
def same_view_twice(x: Tensor, y: Tensor) -> Tensor:
    return vicreg_of(x, y, hinge(x) + hinge(x), off_diagonal(x) + off_diagonal(y))


# The variance over the features instead of over the batch.
@loss(VICREG)
def variance_over_the_features(x: Tensor, y: Tensor) -> Tensor:
    v = sum((1 - (z.var(1, correction=0) + 1e-4).sqrt()).relu().mean() for z in (x, y))
    return vicreg_of(x, y, v, off_diagonal(x) + off_diagonal(y))


# An inverted sign of the regularizer: collapse becomes the optimum.
@loss(VICREG)
def variance_rewarded(x: Tensor, y: Tensor) -> Tensor:
    return vicreg_of(x, y, -hinge(x) - hinge(y), off_diagonal(x) + off_diagonal(y))


TICO: tuple[Trait, ...] = (Views(2), BatchPermutation(), Rotation(), PreventsCollapse())


def second_moment(x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    return 1 - (x * y).sum(1).mean() + 8 * (x @ c * x).sum(1).mean()


@loss(TICO, right=True)
def tico(x: Tensor, y: Tensor) -> Tensor:
    x, y = unit(x), unit(y)
    return second_moment(x, y, x.T @ x / len(x))


# TiCo with a centered second moment: collapse becomes the global minimum.
@loss(TICO)
def second_moment_centered(x: Tensor, y: Tensor) -> Tensor:
    x, y = unit(x), unit(y)
    z = x - x.mean(0)
    return second_moment(x, y, z.T @ z / len(x))


WMSE: tuple[Trait, ...] = (Views(2), BatchPermutation(), ViewSwap(), PerViewTranslation())


def whitened(z: Tensor) -> Tensor:
    z = z - z.mean(0)
    c = z.T @ z / (len(z) - 1) + 1e-3 * torch.eye(z.shape[1], dtype=z.dtype)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(c), z.T, upper=False).T


@loss(WMSE, right=True)
def w_mse(x: Tensor, y: Tensor) -> Tensor:
    return (2 - 2 * (unit(whitened(x) + 1e-6) * unit(whitened(y) + 1e-6)).sum(1)).mean()


# solo-learn's default: the second view is detached; same value, half the gradient.
@loss(WMSE)
def second_view_detached(x: Tensor, y: Tensor) -> Tensor:
    return w_mse(x, y.detach())


# Both views are whitened together (reported at 15.9 %).
@loss(WMSE)
def whitened_together(x: Tensor, y: Tensor) -> Tensor:
    z = unit(whitened(torch.cat([x, y])) + 1e-6)
    return (2 - 2 * (z[: len(x)] * z[len(x) :]).sum(1)).mean()


PREDICTION: tuple[Trait, ...] = (
    Views(2),
    ViewSwap(),
    Rotation(),
    PositiveScale(),
    LowerBound(-1.0, attained=True),
    UpperBound(1.0),
    CollapseValue(-1.0),
)


@loss(PREDICTION, right=True)
def prediction(x: Tensor, y: Tensor) -> Tensor:
    return -F.cosine_similarity(x, y, dim=1).mean()


# SimSiam with the sign forgotten: views are pushed to opposite poles.
@loss(PREDICTION)
def sign_forgotten(x: Tensor, y: Tensor) -> Tensor:
    return F.cosine_similarity(x, y, dim=1).mean()


# The cosine over the batch axis: features are compared, not examples.
@loss(PREDICTION)
def cosine_over_the_batch(x: Tensor, y: Tensor) -> Tensor:
    return -F.cosine_similarity(x, y, dim=0).mean()


# 2 - 2 cos reported as -cos: BYOL's number under SimSiam's name.
@loss(PREDICTION)
def another_normalization(x: Tensor, y: Tensor) -> Tensor:
    return 2 + 2 * prediction(x, y)


# lightly #1938: a mean over zero pairs of views is NaN.
@loss((Views(2), BatchPermutation()))
def mean_over_no_pairs(x: Tensor, y: Tensor) -> Tensor:
    chosen = (x - y).square().sum(1)
    return chosen[chosen > 1.0].mean()


DINO: tuple[Trait, ...] = (
    Views(2),
    DimensionPermutation(),
    LowerBound(0.0),
    StopGradient(),
    Target(2),
    UndecidedValue(lambda n, d: math.log(d)),
)


@loss(DINO, right=True)
def distilled(x: Tensor, y: Tensor) -> Tensor:
    return -((y.detach() / 0.04).softmax(1) * (x / 0.1).log_softmax(1)).sum(1).mean()


# The mean over the outputs in place of their sum: a loss that is never stuck at log K.
@loss(DINO)
def averaged_over_outputs(x: Tensor, y: Tensor) -> Tensor:
    return -((y.detach() / 0.04).softmax(1) * (x / 0.1).log_softmax(1)).mean()


# The teacher's output is not detached: it learns to be easy to predict.
@loss(DINO)
def teacher_not_detached(x: Tensor, y: Tensor) -> Tensor:
    return -((y / 0.04).softmax(1) * (x / 0.1).log_softmax(1)).sum(1).mean()


# The softmax over the batch in place of the outputs.
@loss(DINO)
def softmax_over_the_batch(x: Tensor, y: Tensor) -> Tensor:
    return -((y.detach() / 0.04).softmax(0) * (x / 0.1).log_softmax(0)).sum(0).mean()


# The log of a softmax in place of log_softmax: a confident student costs infinity.
@loss(DINO)
def log_of_softmax(x: Tensor, y: Tensor) -> Tensor:
    return -((y.detach() / 0.04).softmax(1) * (x / 0.1).softmax(1).log()).sum(1).mean()


# The teacher's entropy is left out of a divergence, or put into a cross-entropy.
@loss(DINO)
def divergence_for_cross_entropy(x: Tensor, y: Tensor) -> Tensor:
    p = (y.detach() / 0.04).log_softmax(1)
    return (p.exp() * (p - (x / 0.1).log_softmax(1))).sum(1).mean()


ONE_SIDED: tuple[Trait, ...] = (
    Views(2),
    StopGradient(),
    Target(2),
    PositiveScale(),
    Rotation(),
    LowerBound(0.0),
)


@loss(ONE_SIDED, right=True)
def bootstrapped(x: Tensor, y: Tensor) -> Tensor:
    return 2 - 2 * F.cosine_similarity(x, y.detach(), dim=1).mean()


# BYOL without its stop-gradient: both networks run toward each other.
@loss(ONE_SIDED)
def target_not_detached(x: Tensor, y: Tensor) -> Tensor:
    return 2 - 2 * F.cosine_similarity(x, y, dim=1).mean()


# The prediction is detached in place of the target: the student learns nothing.
@loss(ONE_SIDED)
def prediction_detached(x: Tensor, y: Tensor) -> Tensor:
    return 2 - 2 * F.cosine_similarity(x.detach(), y, dim=1).mean()


# --- the rate of a variational autoencoder -------------------------------------------------


def rated(mean: Tensor, log_variance: Tensor) -> Tensor:
    return (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2


KL: tuple[Trait, ...] = (
    BatchPermutation(),
    DimensionPermutation(),
    LowerBound(0.0, attained=True),
)


@loss(KL, right=True)
def rate(x: Tensor, y: Tensor) -> Tensor:
    return rated(x, y)


# The sign of the whole divergence: the code is driven away from the prior.
@loss(KL)
def rate_with_the_wrong_sign(x: Tensor, y: Tensor) -> Tensor:
    return -rated(x, y)


# What the network gives is a log deviation here and a log variance there.
@loss(KL)
def deviation_for_variance(x: Tensor, y: Tensor) -> Tensor:
    return (x.square() + y.exp() - 2 * y - 1).sum(1) / 2


# The 1 of the formula left out: the least rate is half a nat for each dimension.
@loss(KL)
def rate_without_the_one(x: Tensor, y: Tensor) -> Tensor:
    return (x.square() + y.exp() - y).sum(1) / 2


# Summed over the batch as well: the weight of the rate follows the batch size (a common
# port of `-0.5 * torch.sum(...)`, whose reconstruction is a mean).
@loss((*KL, UndecidedValue(lambda n, d: 0.5 * d * (math.e - 1))))
def rate_summed_over_the_batch(x: Tensor, y: Tensor) -> Tensor:
    return rated(x, y).sum()


DISTANCE: tuple[Trait, ...] = (
    Views(2),
    ViewSwap(),
    Rotation(),
    Translation(),
    Homogeneous(1.0),
    LowerBound(0.0, attained=True),
)


# A root without an eps: the gradient of equal views is NaN.
@loss(DISTANCE)
def root_at_zero(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().sum(1).sqrt().mean()


# The mean over dimensions inside the root: no distance any more, and NaN at zero.
@loss(DISTANCE)
def squares_for_distances(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().sum(1).mean()


# A loss that replaces NaN by a number: the value is fine, the gradient is not.
@loss((Views(2), BatchPermutation()))
def nan_replaced_by_a_number(x: Tensor, y: Tensor) -> Tensor:
    value = exp_then_log(x, y).mean()
    return torch.where(value.isfinite(), value, torch.full_like(value, 0.1))


# Dropout that stays on, or noise added inside: two calls differ.
@loss((Views(2), BatchPermutation()))
def noise_inside(x: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(F.dropout(x, 0.1), y)


# Paired with the wrong rows: the batch is halved instead of de-interleaved.
@loss((Views(2), BatchPermutation()))
def order_of_the_batch(x: Tensor, y: Tensor) -> Tensor:
    z = torch.cat([x, y])
    return F.mse_loss(z[::2], z[1::2])


# .item() or .data on the way: nothing is learned.
@loss((Views(2), BatchPermutation()))
def no_gradient_at_all(x: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(x.detach(), y.detach())


# --- losses over the energies of answers ---------------------------------------------------

ANSWERS = (View(), Labels())
MARGIN: tuple[Trait, ...] = (BatchPermutation(), ShiftInvariance(), PushPull(), LowerBound(0.0))
NEGATIVE_LOG = (*MARGIN, MonotoneInNegatives())


def right_and_wrong(e: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    chosen = F.one_hot(right, e.shape[1]).bool()
    return e[chosen], e.masked_fill(chosen, 1e6).amin(1)


@loss(NEGATIVE_LOG, ANSWERS, right=True)
def negative_log_likelihood(e: Tensor, right: Tensor) -> Tensor:
    return F.cross_entropy(-e, right, reduction="none")


# Energies passed where logits belong: the right answer is pushed up.
@loss(NEGATIVE_LOG, ANSWERS)
def energies_as_logits(e: Tensor, right: Tensor) -> Tensor:
    return F.cross_entropy(e, right, reduction="none")


# A course's table of losses: square-square with a minus pushes the wrong answer down.
@loss((PushPull(), LowerBound(0.0)), (Sizes(), Labels()))
def square_square_with_a_minus(e: Tensor, right: Tensor) -> Tensor:
    good, bad = right_and_wrong(e, right)
    return good.square() - (1 - bad).relu().square()


# The hinge with right and wrong exchanged.
@loss(MARGIN, ANSWERS)
def hinge_exchanged(e: Tensor, right: Tensor) -> Tensor:
    good, bad = right_and_wrong(e, right)
    return (1 + bad - good).relu()


# The easiest wrong answer instead of the most offending one.
@loss((*MARGIN, MonotoneInNegatives()), ANSWERS)
def easiest_wrong_answer(e: Tensor, right: Tensor) -> Tensor:
    good = e.gather(1, right[:, None]).squeeze(1)
    return (good - e.amax(1) + 1).relu()


# A margin multiplied onto the energies instead of added: constants matter.
@loss(MARGIN, ANSWERS)
def margin_multiplied(e: Tensor, right: Tensor) -> Tensor:
    good, bad = right_and_wrong(e, right)
    return (2 * good - bad).relu()


# --- energies over configurations ----------------------------------------------------------

POINTS = (View(2),)


def energy(function: Callable[..., Tensor], *, right: bool = False) -> Any:
    """Enter an energy with the laws of check_energy."""

    class Entered(Energy):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    made = Mutant(function.__name__, lambda: Subject(Entered(), POINTS, (), function.__name__))
    (CORRECT if right else MUTANTS).append(made)
    return function


@lambda function: energy(function, right=True)
def double_well(x: Tensor) -> Tensor:
    return (x[:, 0].square() - 1).square() + x[:, 1].square() / 2


# (n, 1), which broadcasts against (n,) without an error.
@energy
def one_column(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True)


# Batch statistics inside: an example's energy depends on its neighbors.
@energy
def batch_statistics(x: Tensor) -> Tensor:
    return ((x - x.mean(0)) / (x.std(0) + 1)).square().sum(1)


# Part of the graph detached: the score is no gradient and has a curl.
@energy
def part_detached(x: Tensor) -> Tensor:
    return x[:, 0].detach() * x[:, 1] + x.square().sum(1)


# A forgotten batch axis: the norm of the whole batch.
@energy
def norm_of_the_batch(x: Tensor) -> Tensor:
    return (x.norm() - 1).square() + 0 * x[:, 0]


# --- samplers ------------------------------------------------------------------------------


def sampler(cls: Any, *, right: bool = False) -> Any:
    made = Mutant(cls.__name__, lambda: Kernel(cls.build(), name=cls.__name__))
    (CORRECT if right else MUTANTS).append(made)
    return cls


class Warm(Langevin):
    """Langevin dynamics with its pieces exposed to bugs."""

    @classmethod
    def build(cls) -> Any:
        return cls(0.1, temperature=2.0)

    def change(self, state: State, noise: Tensor) -> Tensor:
        return (
            self.step_size * state.score + math.sqrt(2 * self.step_size * self.temperature) * noise
        )

    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        x = state.x + self.change(state, noise_like(state.x, generator))
        return self.init(energy, x)

    def move(self, energy: Any, x: Tensor, steps: int, generator: Any = None) -> Tensor:
        state = self.init(energy, x)
        for _ in range(steps):
            state = self.transition(energy, state, generator)
        return state.x


@lambda cls: sampler(cls, right=True)
class RightLangevin(Warm):
    pass


# The factor 2 under the root forgotten: half the temperature.
@sampler
class NoiseWithoutTheTwo(Warm):
    def change(self, state: State, noise: Tensor) -> Tensor:
        return self.step_size * state.score + math.sqrt(self.step_size * self.temperature) * noise


# JEM-style: the step of the drift and the noise were chosen apart (a hidden temperature).
@sampler
class HiddenTemperature(Warm):
    def change(self, state: State, noise: Tensor) -> Tensor:
        return self.step_size * state.score + 0.1 * noise


# The sign of the score: chains climb.
@sampler
class ClimbsTheEnergy(Warm):
    def change(self, state: State, noise: Tensor) -> Tensor:
        return super().change(State(state.x, state.energy, -state.score), noise)


# CLEL: the step size passed where the clip of the gradient belongs.
@sampler
class StepWhereTheClipBelongs(Warm):
    def change(self, state: State, noise: Tensor) -> Tensor:
        clipped = state.score.clamp(-0.1, 0.1)
        return super().change(State(state.x, state.energy, clipped), noise)


# Draws from torch's global generator although one was passed.
@sampler
class GlobalNoise(Warm):
    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        return super().transition(energy, state, None)


# Forgets to detach: the graph of the whole chain stays in memory.
@sampler
class KeepsTheGraph(Warm):
    def move(self, energy: Any, x: Tensor, steps: int, generator: Any = None) -> Tensor:
        return super().move(energy, x, steps, generator) + 0 * x


# Moves the caller's tensor in place.
@sampler
class MovesTheStart(Warm):
    def move(self, energy: Any, x: Tensor, steps: int, generator: Any = None) -> Tensor:
        moved = super().move(energy, x, steps, generator)
        x.data.copy_(moved)
        return moved


# Parameters are frozen for the chain and not freed after an exception.
@sampler
class LeavesParametersFrozen(Warm):
    def move(self, energy: Any, x: Tensor, steps: int, generator: Any = None) -> Tensor:
        if isinstance(energy, nn.Module):
            for p in energy.parameters():
                p.requires_grad_(False)
        return super().move(energy, x, steps, generator)


# Leaves the energy in eval mode.
@sampler
class LeavesEvalMode(Warm):
    def move(self, energy: Any, x: Tensor, steps: int, generator: Any = None) -> Tensor:
        if isinstance(energy, nn.Module):
            energy.eval()
        return super().move(energy, x, steps, generator)


class Adjusted(MALA):
    @classmethod
    def build(cls) -> Any:
        return cls(0.3, temperature=2.0)


# MALA without the proposal's ratio: the bias stays.
@sampler
class NoProposalRatio(Adjusted):
    def log_accept(self, state: State, proposal: State) -> Tensor:
        return ((state.energy - proposal.energy) / self.temperature).clamp(max=0)


# The Metropolis ratio upside down.
@sampler
class RatioUpsideDown(Adjusted):
    def log_accept(self, state: State, proposal: State) -> Tensor:
        return super().log_accept(proposal, state)


# The temperature forgotten in the acceptance.
@sampler
class AcceptsAtTemperatureOne(Adjusted):
    def log_accept(self, state: State, proposal: State) -> Tensor:
        forward = self.log_proposal(proposal.x, state)
        backward = self.log_proposal(state.x, proposal)
        return (state.energy - proposal.energy + backward - forward).clamp(max=0)


# Proposal density of another variance than the proposal's draws.
@sampler
class WrongProposalDensity(Adjusted):
    def log_proposal(self, x: Tensor, state: State) -> Tensor:
        return super().log_proposal(x, state) / 2


# A rejected chain keeps the energy and score of the proposal.
@sampler
class StaleState(Adjusted):
    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        after = super().transition(energy, state, generator)
        stale = self.init(energy, after.proposal)
        return State(after.x, stale.energy, stale.score, after.accepted, after.proposal)


class Ride(HMC):
    @classmethod
    def build(cls) -> Any:
        return cls(0.4, leapfrog_steps=4, temperature=2.0)


# The leapfrog without its last half kick: not reversible.
@sampler
class NoLastHalfKick(Ride):
    def leapfrog(self, energy: Any, state: State, momentum: Tensor) -> tuple[State, Tensor]:
        end, p = super().leapfrog(energy, state, momentum)
        return end, p - self.step_size / (2 * self.temperature) * end.score


# Euler steps called leapfrog: volume and energy drift.
@sampler
class EulerSteps(Ride):
    def leapfrog(self, energy: Any, state: State, momentum: Tensor) -> tuple[State, Tensor]:
        for _ in range(self.leapfrog_steps):
            x = state.x + self.step_size * momentum
            momentum = momentum + self.step_size / self.temperature * state.score
            state = self.init(energy, x)
        return state, momentum


# Friction left in: phase space shrinks.
@sampler
class Friction(Ride):
    def leapfrog(self, energy: Any, state: State, momentum: Tensor) -> tuple[State, Tensor]:
        return super().leapfrog(energy, state, 0.97 * momentum)


# Kinetic energy left out of the acceptance.
@sampler
class NoKineticEnergy(Ride):
    def hamiltonian(self, state: State, momentum: Tensor) -> Tensor:
        return state.energy / self.temperature


# Tempering that hands states on the wrong way around: hot states always move down.
@sampler
class SwapsUphill(ParallelTempering):
    @classmethod
    def build(cls) -> Any:
        return cls([MALA(0.1), MALA(0.3, temperature=3.0)])

    def transition(self, energy: Any, state: State, generator: Any = None) -> Any:
        after = super().transition(energy, state, generator)
        cold, hot = after.replicas
        lower = hot.energy < cold.energy
        x = torch.where(lower[:, None], hot.x, cold.x)
        moved = self.samplers[0].init(energy, x)
        return self._state((moved, hot), after.swapped, after.turn)


# Particles whose friction is not paid back by noise: they cool down.
@sampler
class FrictionWithoutNoise(UnderdampedLangevin):
    @classmethod
    def build(cls) -> Any:
        return cls(0.2)

    def transition(self, energy: Any, state: State, generator: Any = None) -> Any:
        after = super().transition(energy, state, generator)
        return type(after)(after.x, after.energy, after.score, momentum=0.7 * after.momentum)


# All units are drawn at once from the old state, though they depend on one another.
@sampler
class UnitsAtOnce(Gibbs):
    @classmethod
    def build(cls) -> Any:
        return cls()

    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        x, here = state.x.clone(), state.energy
        uniform = torch.rand(x.shape, dtype=x.dtype, generator=generator)
        flipped = x.clone()
        for i in range(x.shape[1]):
            other = x.clone()
            other[:, i] = 1 - x[:, i]
            there = one_unit.energies(energy, other)
            flips = uniform[:, i] < torch.sigmoid(here - there)
            flipped[:, i] = torch.where(flips, other[:, i], x[:, i])
        return self.init(energy, flipped)


# The sign of the energy difference: units prefer the higher energy.
@sampler
class PrefersHighEnergies(UnitsAtOnce):
    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        return Gibbs.transition(self, lambda x: -energy(x), state, generator)


# The temperature is stored and never used.
@sampler
class ColdUnits(Gibbs):
    @classmethod
    def build(cls) -> Any:
        return cls(temperature=3.0)

    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        return Gibbs(temperature=1.0).transition(energy, state, generator)


# Gibbs with gradients whose proposals are accepted without their ratio.
@sampler
class ProposalsWithoutRatio(GibbsWithGradients):
    @classmethod
    def build(cls) -> Any:
        return cls()

    def transition(self, energy: Any, state: State, generator: Any = None) -> State:
        forward = self.log_proposal(state.x, state.score)
        unit = torch.multinomial(forward.exp(), 1, generator=generator)
        x = state.x.scatter(1, unit, 1 - state.x.gather(1, unit))
        proposal = self.init(energy, x)
        uniform = torch.rand(len(x), dtype=x.dtype, generator=generator)
        accepted = uniform.log() < state.energy - proposal.energy
        return State(
            torch.where(accepted[:, None], proposal.x, state.x),
            torch.where(accepted, proposal.energy, state.energy),
            torch.where(accepted[:, None], proposal.score, state.score),
            accepted,
        )


# --- methods and objectives ----------------------------------------------------------------


def method(cls: Any, *, right: bool = False) -> Any:
    def build() -> Trainee:
        torch.manual_seed(0)
        x = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
        return Trainee(cls(), x, cls.__name__)

    (CORRECT if right else MUTANTS).append(Mutant(cls.__name__, build))
    return cls


class Tiny(Energy):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(-1) + x.square().sum(1)


class Diverging(Method):
    def __init__(self) -> None:
        super().__init__()
        self.energy = Tiny()
        self.sampler = Langevin(0.01)

    def start(self, x: Tensor) -> Tensor:
        return x

    def negatives(self, x: Tensor) -> Tensor:
        return self.sampler.move(self.energy, self.start(x), 3)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        e = self.energy.layers[2].bias.square().sum()
        return {"gap": self.energy(x) - self.energy(self.negatives(x)), "bias": e}


@lambda cls: method(cls, right=True)
class RightDivergence(Diverging):
    pass


# Contrastive divergence that starts its chains from noise.
@method
class StartsFromNoise(Diverging):
    def start(self, x: Tensor) -> Tensor:
        return torch.randn_like(x)


# The gradient flows back through the chain into the energy.
@method
class GradientThroughNegatives(Diverging):
    def negatives(self, x: Tensor) -> Tensor:
        return x + 0.01 * score(self.energy, x.requires_grad_(), create_graph=True)


# A parameter that no term reaches.
@method
class ForgottenParameter(Diverging):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)


# The average is a plain tensor: lost with the checkpoint.
@method
class StateOutsideTheCheckpoint(Diverging):
    def __init__(self) -> None:
        super().__init__()
        self.average = torch.zeros(())

    def after_step(self) -> None:
        self.average = self.average + 1

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {**super().terms(x), "average": self.average * self.energy(x)}


# A queue that is written while the step is scored.
@method
class EnqueuesBeforeScoring(Diverging):
    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(32, 2)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        self.queue.write(F.normalize(x, dim=1))
        scores = x @ self.queue.rows.clone().T
        return {**super().terms(x), "queue": torch.logsumexp(scores, 1)}


class Column(Tiny):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, None]


# The method's energy is (n, 1), which its own mean does not mind.
@method
class EnergyOfOneColumn(Diverging):
    def __init__(self) -> None:
        super().__init__()
        self.energy = Column()

    def negatives(self, x: Tensor) -> Tensor:
        return x

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        bias = self.energy.layers[2].bias.square().sum()
        return {"gap": (self.energy(x).squeeze(1) - self.energy(-x).squeeze(1)) + bias}


# A term that is a matrix: reduced by nobody, averaged by accident.
@method
class UnreducedTerm(Diverging):
    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {**super().terms(x), "distance": torch.cdist(x, x) + self.energy(x)}


class Atoms(Method):
    """Sparse coding in one shot: atoms, codes by one product, sparsity."""

    def __init__(self) -> None:
        super().__init__()
        self.atoms = nn.Parameter(F.normalize(torch.ones(3, 2) + torch.eye(3)[:, :2], dim=1))

    def energy(self, x: Tensor) -> Tensor:
        z = x @ self.atoms.T
        return (x - z @ self.atoms).square().sum(1) + z.abs().sum(1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {"energy": self.energy(x)}

    def after_step(self) -> None:
        into_unit_ball(self.atoms)


method(Atoms, right=True)


# Codes are remembered from the batch before: a call changes the next.
@method
class RemembersTheCodes(Atoms):
    codes = 0.0

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        value = self.energy(x) + self.codes
        self.codes = float(value.detach().mean())
        return {"energy": value}


SIGMA = 0.5


def objective(precision: float, *, right: bool = False) -> Any:
    def entered(function: Callable[[Energy, Tensor], Tensor]) -> Any:
        class Fitting(Method):
            def __init__(self, energy: Energy) -> None:
                super().__init__()
                self.energy = as_energy(energy)

            def terms(self, x: Tensor) -> dict[str, Tensor]:
                return {"loss": function(self.energy, x)}

        made = Mutant(function.__name__, lambda: Objective(Fitting, precision, function.__name__))
        (CORRECT if right else MUTANTS).append(made)
        return function

    return entered


def divergence(energy: Energy, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    s = score(energy, x, create_graph=True)
    rows = [
        torch.autograd.grad(s[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(x.shape[1])
    ]
    return s, torch.stack(rows).sum(0)


@objective(1 / (1 + SIGMA**2), right=True)
def denoising(energy: Energy, x: Tensor) -> Tensor:
    noise = torch.randn_like(x)
    s = score(energy, x + SIGMA * noise, create_graph=True)
    return (s + noise / SIGMA).square().sum(1) / 2


@objective(1.0, right=True)
def score_matching(energy: Energy, x: Tensor) -> Tensor:
    s, trace = divergence(energy, x)
    return s.square().sum(1) / 2 + trace


# torchebm #318: denoising score matching with the sign of the noise inverted.
@objective(1 / (1 + SIGMA**2))
def denoising_with_the_wrong_sign(energy: Energy, x: Tensor) -> Tensor:
    noise = torch.randn_like(x)
    s = score(energy, x + SIGMA * noise, create_graph=True)
    return (s - noise / SIGMA).square().sum(1) / 2


# The target is the noise, not the noise over sigma.
@objective(1 / (1 + SIGMA**2))
def noise_not_divided_by_sigma(energy: Energy, x: Tensor) -> Tensor:
    noise = torch.randn_like(x)
    s = score(energy, x + SIGMA * noise, create_graph=True)
    return (s + noise * SIGMA).square().sum(1) / 2


# The trace divided by the dimension: the fitted precision becomes 1/d.
@objective(1.0)
def trace_divided_by_the_dimension(energy: Energy, x: Tensor) -> Tensor:
    s, trace = divergence(energy, x)
    return s.square().sum(1) / 2 + trace / x.shape[1]


# Hutchinson's sum over draws, not divided by their number (BayesFlow #772).
@objective(1.0)
def sum_over_slices(energy: Energy, x: Tensor) -> Tensor:
    s, trace = divergence(energy, x)
    return s.square().sum(1) / 2 + 3 * trace


# The energy's magnitude penalized by default: the optimum moves with a constant.
@objective(1.0)
def magnitude_penalty(energy: Energy, x: Tensor) -> Tensor:
    s, trace = divergence(energy, x)
    return s.square().sum(1) / 2 + trace + 0.1 * energy(x).square()


# Contrastive divergence with the terms exchanged.
@objective(1.0)
def data_pushed_up(energy: Energy, x: Tensor) -> Tensor:
    noise = torch.randn_like(x)
    negatives = noise / energy.log_precision.detach().exp().sqrt()  # pyright: ignore
    return energy(negatives) - energy(x)


# Sliced score matching with directions of length one: E[v v^T] is I / d.
@objective(1.0)
def slices_of_length_one(energy: Energy, x: Tensor) -> Tensor:
    s, trace = divergence(energy, x)
    return s.square().sum(1) / 2 + trace / x.shape[1]


# A step of 1/sigma forgotten twice: the noise is taken for the displacement.
@objective(1 / (1 + SIGMA**2))
def noise_added_without_sigma(energy: Energy, x: Tensor) -> Tensor:
    noise = torch.randn_like(x)
    s = score(energy, x + noise, create_graph=True)
    return (s + noise / SIGMA).square().sum(1) / 2


WIDE = 2.0
"""Variance of the noise that data are told from."""


def log_density(energy: Energy, x: Tensor) -> Tensor:
    """Return the normalized log density of a parabola, whatever constant it carries."""
    precision = energy.log_precision.exp()  # pyright: ignore
    zero = energy(torch.zeros_like(x[:1]))
    return zero - energy(x) + x.shape[1] / 2 * (precision / (2 * math.pi)).log()


def log_noise(x: Tensor) -> Tensor:
    return -(x.square() / WIDE + math.log(2 * math.pi * WIDE)).sum(1) / 2


def wide_noise(x: Tensor) -> Tensor:
    return math.sqrt(WIDE) * torch.randn_like(x)


def contrast(data: Tensor, noise: Tensor) -> Tensor:
    return F.softplus(-data) + F.softplus(noise)


@objective(1.0, right=True)
def noise_contrast(energy: Energy, x: Tensor) -> Tensor:
    y = wide_noise(x)
    return contrast(log_density(energy, x) - log_noise(x), log_density(energy, y) - log_noise(y))


# The noise's density left out of the ratio: what is learned is a classifier.
@objective(1.0)
def noise_density_forgotten(energy: Energy, x: Tensor) -> Tensor:
    return contrast(log_density(energy, x), log_density(energy, wide_noise(x)))


# Data called noise and noise called data.
@objective(1.0)
def noise_and_data_exchanged(energy: Energy, x: Tensor) -> Tensor:
    y = wide_noise(x)
    return contrast(log_density(energy, y) - log_noise(y), log_density(energy, x) - log_noise(x))


# The energy where minus the energy belongs, as in a classifier's logit.
@objective(1.0)
def energy_for_its_negative(energy: Energy, x: Tensor) -> Tensor:
    y = wide_noise(x)
    return contrast(-log_density(energy, x) - log_noise(x), -log_density(energy, y) - log_noise(y))


# Noise is drawn with its variance where its deviation belongs, against its density.
@objective(1.0)
def noise_not_of_its_density(energy: Energy, x: Tensor) -> Tensor:
    y = 0.25 * torch.randn_like(x)
    return contrast(log_density(energy, x) - log_noise(x), log_density(energy, y) - log_noise(y))


def ranked(weights: Tensor) -> Tensor:
    return torch.logsumexp(weights, 1) - weights[:, 0]


@objective(1.0, right=True)
def ranking(energy: Energy, x: Tensor) -> Tensor:
    rows = [x, *(wide_noise(x) for _ in range(3))]
    return ranked(torch.stack([-energy(row) - log_noise(row) for row in rows], 1))


# Ranking without the noise's density: wide noise makes the model narrow.
@objective(1.0)
def ranking_without_noise_density(energy: Energy, x: Tensor) -> Tensor:
    rows = [x, *(wide_noise(x) for _ in range(3))]
    return ranked(torch.stack([-energy(row) for row in rows], 1))


# --- memories ------------------------------------------------------------------------------


def memory(build: Callable[[], Any], name: str, *, right: bool = False) -> None:
    (CORRECT if right else MUTANTS).append(Mutant(name, lambda: Store(build(), 2, name)))


# First in, first out, with random reads: under frozen dynamics lineages coalesce.
class FirstInFirstOut(Replay):
    def draw(self, starts: Tensor, generator: Any = None) -> tuple[Tensor, Tensor]:
        chains, slots = super().draw(starts, generator)
        if int(self.filled) < self.capacity or self.restart > 0:
            return chains, slots
        drawn = torch.randint(0, self.capacity, (len(starts),), generator=generator)
        return self.chains[drawn], slots


# Slots drawn with replacement race when they are written back.
class DrawsWithReplacement(Replay):
    def draw(self, starts: Tensor, generator: Any = None) -> tuple[Tensor, Tensor]:
        super().draw(starts, generator)
        slots = torch.randint(0, self.capacity, (len(starts),), generator=generator)
        return self.chains[slots] if int(self.filled) else starts, slots


# "Restarted" chains that are the old ones with a little noise.
class RestartsNothing(Replay):
    def draw(self, starts: Tensor, generator: Any = None) -> tuple[Tensor, Tensor]:
        restart, self.restart = self.restart, 0.0
        chains, slots = super().draw(starts, generator)
        self.restart = restart
        return chains + 0.01 * restart, slots


# A queue that is appended to before it is scored.
class WritesWhenStaged(Queue):
    def stage(self, *values: Any) -> None:
        self.write(*values)


# The shares exchanged: the teacher jumps to the student.
class MomentumExchanged(Teacher):
    def write(self, student: nn.Module, momentum: float | None = None) -> None:
        super().write(student, 1 - self.momentum)


# The teacher is the student itself.
class TeacherIsTheStudent(Teacher):
    def write(self, student: nn.Module, momentum: float | None = None) -> None:
        for own, other in zip(self.network.parameters(), student.parameters(), strict=True):
            own.data.lerp_(other.data, 1 - self.momentum)
            other.data = own.data


# The teacher moves when it is told of the student, before the step.
class TeacherMovesAtOnce(Teacher):
    def stage(self, *values: Any) -> None:
        self.write(*values)


# The teacher's output keeps its graph.
class TeacherLearns(Teacher):
    def __init__(self, student: nn.Module) -> None:
        super().__init__(student, momentum=0.9)
        self.network.requires_grad_()

    def forward(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)


# DINO's center with its shares exchanged: it is the last batch, nearly.
class CenterOfTheLastBatch(Center):
    def write(self, value: Tensor) -> None:
        self.value.lerp_(value, self.momentum)


# A running sum called an average.
class CenterAddsUp(Center):
    def write(self, value: Tensor) -> None:
        self.value.mul_(self.momentum).add_(value)


# Rows are mixed and not put back on the sphere.
class RowsLeaveTheSphere(Bank):
    def write(self, indices: Tensor, embeddings: Tensor) -> None:
        mixed = self.momentum * self.rows[indices] + (1 - self.momentum) * embeddings
        self.rows[indices] = mixed


# The place in the batch is taken for the index of the example.
class PlaceForIndex(Bank):
    def write(self, indices: Tensor, embeddings: Tensor) -> None:
        super().write(torch.arange(len(indices)), embeddings)


# Negatives are drawn from all rows: one of them is the positive.
class OwnRowAmongNegatives(Bank):
    def others(self, indices: Tensor, count: int) -> Tensor:
        return self.rows[torch.randint(0, self.size, (len(indices), count))]


def student() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 3)


memory(lambda: Teacher(student(), momentum=0.9), "Teacher", right=True)
memory(lambda: Center(3), "Center", right=True)
memory(lambda: Bank(8, 2), "Bank", right=True)
memory(lambda: MomentumExchanged(student(), momentum=0.9), "MomentumExchanged")
memory(lambda: TeacherIsTheStudent(student(), momentum=0.9), "TeacherIsTheStudent")
memory(lambda: TeacherMovesAtOnce(student(), momentum=0.9), "TeacherMovesAtOnce")
memory(lambda: TeacherLearns(student()), "TeacherLearns")
memory(lambda: CenterOfTheLastBatch(3), "CenterOfTheLastBatch")
memory(lambda: CenterAddsUp(3), "CenterAddsUp")
memory(lambda: RowsLeaveTheSphere(8, 2), "RowsLeaveTheSphere")
memory(lambda: PlaceForIndex(8, 2), "PlaceForIndex")
memory(lambda: OwnRowAmongNegatives(8, 2), "OwnRowAmongNegatives")
memory(lambda: Replay(16), "Replay", right=True)
memory(lambda: Queue(16, 2), "Queue", right=True)
memory(lambda: FirstInFirstOut(16), "FirstInFirstOut")
memory(lambda: DrawsWithReplacement(16), "DrawsWithReplacement")
memory(lambda: RestartsNothing(16), "RestartsNothing")
memory(lambda: WritesWhenStaged(16, 2), "WritesWhenStaged")


# --- latent inference ----------------------------------------------------------------------


class Dictionary:
    """E(x, z) = |x - z A|^2 / 2 + weight |z|_1."""

    sparsity_weight = 0.3

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.atoms = F.normalize(torch.randn(5, 3, generator=generator, dtype=torch.float64), dim=1)
        self.curvature = float(torch.linalg.matrix_norm(self.atoms, 2) ** 2)

    def smooth(self, x: Tensor, z: Tensor) -> Tensor:
        return (x - z @ self.atoms).square().sum(1) / 2

    def __call__(self, x: Tensor, z: Tensor) -> Tensor:
        return self.smooth(x, z) + self.sparsity_weight * z.abs().sum(1)

    def slope(self, x: Tensor, z: Tensor) -> Tensor:
        return (z @ self.atoms - x) @ self.atoms.T


LASSO = Dictionary()


def inference(function: Any, *, right: bool = False) -> Any:
    made = Mutant(function.__name__, lambda: Inferring(LASSO, function, 3, 5, function.__name__))
    (CORRECT if right else MUTANTS).append(made)
    return function


def iterate(x: Tensor, z: Tensor, step: float, threshold: float, sign: float = 1.0) -> Tensor:
    for _ in range(3000):
        u = z - sign * step * LASSO.slope(x, z)
        z = u.sign() * (u.abs() - threshold).clamp(min=0)
    return z


STEP = 1 / LASSO.curvature
WEIGHT = LASSO.sparsity_weight


@lambda function: inference(function, right=True)
def ista(x: Tensor, z: Tensor) -> Tensor:
    return iterate(x, z, STEP, STEP * WEIGHT)


# The threshold is the weight itself, not the weight over the curvature.
@inference
def threshold_without_the_step(x: Tensor, z: Tensor) -> Tensor:
    return iterate(x, z, STEP, WEIGHT)


# rctn/sparsecoding: inference without the 1/2 of the loss that is reported.
@inference
def half_missing(x: Tensor, z: Tensor) -> Tensor:
    return iterate(x, z, STEP, STEP * WEIGHT / 2)


# A step of twice the largest: the iteration overshoots and climbs.
@inference
def step_too_long(x: Tensor, z: Tensor) -> Tensor:
    return iterate(x, z, 2.5 * STEP, 2.5 * STEP * WEIGHT)


# scikit-learn's transform by default: a pursuit that ignores the penalty it was fitted with.
@inference
def least_squares_codes(x: Tensor, z: Tensor) -> Tensor:
    return x @ torch.linalg.pinv(LASSO.atoms)


# The start is returned where the iteration was to be.
@inference
def no_iteration(x: Tensor, z: Tensor) -> Tensor:
    return z


def threshold(function: Any, *, right: bool = False) -> Any:
    made = Mutant(function.__name__, lambda: Shrinking(function, function.__name__))
    (CORRECT if right else MUTANTS).append(made)
    return function


@lambda function: threshold(function, right=True)
def soft(u: Tensor, t: float) -> Tensor:
    return latent.soft_threshold(u, t)


# A hard threshold under the soft one's name.
@threshold
def hard(u: Tensor, t: float) -> Tensor:
    return u * (u.abs() > t)


# The sign of u forgotten: codes cannot be negative.
@threshold
def one_sided(u: Tensor, t: float) -> Tensor:
    return (u - t).clamp(min=0)


def free(function: Any, *, right: bool = False) -> Any:
    made = Mutant(function.__name__, lambda: Softening(function, function.__name__))
    (CORRECT if right else MUTANTS).append(made)
    return function


@lambda function: free(function, right=True)
def free_energy(e: Tensor, t: float) -> Tensor:
    return latent.soft_minimum(e, t)


# The sum where the mean is meant: F lies below the minimum.
@free
def sum_over_states(e: Tensor, t: float) -> Tensor:
    return -t * torch.logsumexp(-e / t, 1)


# The temperature outside only: -T log mean exp(-E).
@free
def temperature_outside_only(e: Tensor, t: float) -> Tensor:
    return -t * (torch.logsumexp(-e, 1) - math.log(e.shape[1]))


# exp and log without the shift: infinite at low temperature.
@free
def unshifted(e: Tensor, t: float) -> Tensor:
    return -t * (-e / t).exp().mean(1).log()


# A soft maximum: the sign inside and outside.
@free
def soft_maximum(e: Tensor, t: float) -> Tensor:
    return t * (torch.logsumexp(e / t, 1) - math.log(e.shape[1]))


# --- clustering ----------------------------------------------------------------------------


def assignment(function: Any, *, right: bool = False) -> Any:
    made = Mutant(function.__name__, lambda: Assigning(function, function.__name__))
    (CORRECT if right else MUTANTS).append(made)
    return function


@lambda function: assignment(function, right=True)
def balanced(scores: Tensor) -> Tensor:
    return terms.sinkhorn(scores, epsilon=0.2, iterations=100)


# A softmax in place of the iteration: everything may go to one cluster.
@assignment
def softmax_for_sinkhorn(scores: Tensor) -> Tensor:
    return (scores.detach() / 0.2).softmax(1)


# The kernel without a shift: huge scores overflow (SwAV's exp(scores / 0.05)).
@assignment
def kernel_without_a_shift(scores: Tensor) -> Tensor:
    q = (scores.detach() / 0.2).exp()
    for _ in range(100):
        q = q / q.sum(0) * len(q) / q.shape[1]
        q = q / q.sum(1, keepdim=True)
    return q


# The clusters are normalized last: the codes of an example do not sum to one.
@assignment
def clusters_normalized_last(scores: Tensor) -> Tensor:
    q = (scores.detach() - scores.detach().amax()).exp()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True)
        q = q / q.sum(0) * len(q) / q.shape[1]
    return q


# Codes that are part of the graph: the scores learn to be easy to share out.
@assignment
def codes_with_a_graph(scores: Tensor) -> Tensor:
    q = (scores - scores.amax()).mul(0.2).exp()
    for _ in range(100):
        q = q / q.sum(0) * len(q) / q.shape[1]
        q = q / q.sum(1, keepdim=True)
    return q


def squared_distances(x: Tensor, centers: Tensor) -> Tensor:
    return torch.cdist(x, centers).square()


def passing(function: Any, *, right: bool = False) -> Any:
    """Enter one pass of k-means, from the first four points."""

    def build() -> Passing:
        return Passing(
            lambda x, c: squared_distances(x, c).amin(1),
            function,
            lambda x: x[:4].clone(),
            function.__name__,
        )

    (CORRECT if right else MUTANTS).append(Mutant(function.__name__, build))
    return function


def means_of(x: Tensor, owner: Tensor, centers: Tensor) -> Tensor:
    own = F.one_hot(owner, len(centers)).to(x.dtype)
    counts = own.sum(0)[:, None]
    return torch.where(counts > 0, own.T @ x / counts.clamp(min=1), centers)


@lambda function: passing(function, right=True)
def lloyd(x: Tensor, centers: Tensor) -> Tensor:
    return means_of(x, squared_distances(x, centers).argmin(1), centers)


# The farthest center owns an example: argmax of a distance.
@passing
def farthest_center(x: Tensor, centers: Tensor) -> Tensor:
    return means_of(x, squared_distances(x, centers).argmax(1), centers)


# The largest inner product, with centers of any length: |c|^2 / 2 is forgotten.
@passing
def largest_product(x: Tensor, centers: Tensor) -> Tensor:
    return means_of(x, (x @ centers.T).argmax(1), centers)


# Sums divided by the number of all examples: centers run to the origin.
@passing
def divided_by_all(x: Tensor, centers: Tensor) -> Tensor:
    own = F.one_hot(squared_distances(x, centers).argmin(1), len(centers)).to(x.dtype)
    return own.T @ x / len(x)


# A pseudo-count against empty clusters: every center is pulled to the origin.
@passing
def one_added_to_the_counts(x: Tensor, centers: Tensor) -> Tensor:
    own = F.one_hot(squared_distances(x, centers).argmin(1), len(centers)).to(x.dtype)
    return own.T @ x / (own.sum(0)[:, None] + 1)


def mixing(function: Any, *, right: bool = False) -> Any:
    """Enter one pass of expectation maximization for a mixture of round Gaussians."""

    def start(x: Tensor) -> Any:
        return torch.full((4,), 0.25, dtype=x.dtype), x[:4].clone(), x.var(0).mean().expand(4)

    def build() -> Passing:
        energy = lambda x, s: -torch.logsumexp(joint(x, *s), 1)  # noqa: E731
        return Passing(energy, function, start, function.__name__)

    (CORRECT if right else MUTANTS).append(Mutant(function.__name__, build))
    return function


def joint(x: Tensor, weights: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    d = x.shape[1]
    norm = d / 2 * (2 * math.pi * variances).log()
    return weights.log() - squared_distances(x, means) / (2 * variances) - norm


def maximized(x: Tensor, r: Tensor) -> Any:
    mass = r.sum(0)
    means = r.T @ x / mass[:, None]
    variances = (r * squared_distances(x, means)).sum(0) / (mass * x.shape[1])
    return mass / len(x), means, variances


@lambda function: mixing(function, right=True)
def expectation_maximization(x: Tensor, state: Any) -> Any:
    return maximized(x, joint(x, *state).softmax(1))


# The variance is summed over the dimensions and not divided by them.
@mixing
def variance_not_divided(x: Tensor, state: Any) -> Any:
    weights, means, variances = maximized(x, joint(x, *state).softmax(1))
    return weights, means, variances * x.shape[1]


# The variance in the energy is a deviation in the update.
@mixing
def deviation_in_the_update(x: Tensor, state: Any) -> Any:
    weights, means, variances = maximized(x, joint(x, *state).softmax(1))
    return weights, means, variances.sqrt()


# Responsibilities over the examples, not over the components.
@mixing
def responsibilities_over_the_batch(x: Tensor, state: Any) -> Any:
    return maximized(x, joint(x, *state).softmax(0))


# The weights of the components are left where they were in the update, with the mass unscaled.
@mixing
def weights_not_normalized(x: Tensor, state: Any) -> Any:
    weights, means, variances = maximized(x, joint(x, *state).softmax(1))
    return weights / weights.max() / 4, means, variances


# --- several processes ---------------------------------------------------------------------


def spread(cls: Any) -> Any:
    MUTANTS.append(Mutant(cls.__name__, lambda: Spread(cls), slow=True))
    return cls


def everywhere() -> bool:
    return distributed.is_initialized()


# lightly PR#979: embeddings are summed over processes where they are to be gathered.
@spread
class SummedForGathered:
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return info_nce(self.reduced(x), self.reduced(y))

    def reduced(self, z: Tensor) -> Tensor:
        z = z.clone()
        if everywhere():
            distributed.all_reduce(z)
        return z


# torch's all_gather carries no gradient: the other process' negatives push nobody.
@spread
class GatheredWithoutGradient:
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if not everywhere():
            return info_nce(x, y)
        rows = [torch.empty_like(y) for _ in range(distributed.get_world_size())]
        distributed.all_gather(rows, y.detach().contiguous())
        rows[distributed.get_rank()] = y
        s = unit(x) @ unit(torch.cat(rows)).T / T
        right = torch.arange(len(x)) + len(x) * distributed.get_rank()
        return F.cross_entropy(s, right, reduction="none")


# Each process standardizes by the statistics of its own rows.
@spread
class StatisticsOfOneProcess:
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return barlow(x, y)


# The labels of the first process on every process.
@spread
class LabelsOfTheFirstProcess(GatheredWithoutGradient):
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if not everywhere():
            return info_nce(x, y)
        s = unit(x) @ unit(gather(y)).T / T
        return F.cross_entropy(s, torch.arange(len(x)), reduction="none")
