"""Every fast path equals the plain formula beside it: value, gradient, second derivative."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ebm import terms
from ebm.terms import (
    alignment,
    covariance,
    cross_correlation,
    info_nce,
    invariance,
    log_sum_exp,
    nt_xent,
    one_matrix,
    soft_cross_entropy,
    unit,
    variance,
)
from ebm.terms import cosine as cosines
from ebm.terms import transformation_covariance as tico

Formula = Callable[..., Tensor | tuple[Tensor, ...]]
SHAPES = st.one_of(
    st.sampled_from([(2, 1), (2, 2), (2, 40), (150, 1), (150, 4), (4, 150)]),
    st.tuples(st.integers(2, 24), st.integers(1, 24)),
)


@dataclass(frozen=True)
class Path:
    """A fast path, its plain formula, and the size of what is summed in it."""

    fast: Formula
    plain: Formula
    inputs: int
    scale: Callable[..., float]
    """S of the value: the sum of the absolute values that are added."""


def on_sphere(x: Tensor) -> Tensor:
    return 3 * x / x.norm(dim=1, keepdim=True)


def of_sphere(formula: Formula) -> Formula:
    return lambda *x: formula(*(on_sphere(z) for z in x))


def centered(x: Tensor) -> Tensor:
    return (x - x.mean(0)).abs()


def squares(x: Tensor) -> float:
    return float((centered(x).mT @ centered(x) / (len(x) - 1)).square().sum())


def correlations(x: Tensor, y: Tensor) -> float:
    u, v = (centered(z) / (z.var(0, correction=0) + 1e-5).sqrt() for z in (x, y))
    return float((u.mT @ v / len(x)).square().sum()) + 4 * x.shape[1]


def moment(x: Tensor) -> Tensor:
    half = torch.linspace(-1, 1, x.shape[1] ** 2, dtype=x.dtype).view(x.shape[1], -1)
    return half @ half.mT + half  # not symmetric


def soft(x: Tensor) -> Tensor:
    return 2 * torch.linspace(-3, 3, x.numel(), dtype=x.dtype).view_as(x).softmax(1)


def largest(*x: Tensor) -> float:
    return 9.0 + len(x[0])


PATHS = {
    "unit": Path(
        lambda x: unit.unit(x, 2.0), lambda x: unit.unit_plain(x, 2.0), 1, lambda x: 2.0
    ),
    "cosine": Path(cosines.cosine, cosines.cosine_plain, 2, lambda x, y: 1.0),
    "squared distance": Path(
        invariance.squared_distance,
        invariance.squared_distance_plain,
        2,
        lambda x, y: float((x.abs() + y.abs()).square().sum(1).max()),
    ),
    "soft cross-entropy": Path(
        lambda x: soft_cross_entropy.soft_cross_entropy(x, soft(x), 0.5),
        lambda x: soft_cross_entropy.soft_cross_entropy_plain(x, soft(x), 0.5),
        1,
        lambda x: 2 * float(x.abs().max() / 0.5 + math.log(x.shape[1]) + 1),
    ),
    "hinge": Path(
        lambda x: variance.hinge(x, 1.5, 1e-4),
        lambda x: variance.hinge_plain(x, 1.5, 1e-4),
        1,
        lambda x: 1.5 + float(x.std(0).max()),
    ),
    "off-diagonal covariance": Path(
        covariance.off_diagonal, covariance.off_diagonal_plain, 1, squares
    ),
    "squared correlations": Path(
        lambda x, y: cross_correlation.squared_correlations(x, y, 1e-5),
        lambda x, y: cross_correlation.squared_correlations_plain(x, y, 1e-5),
        2,
        correlations,
    ),
    "along the moment": Path(
        lambda x, y: tico.along_moment(x, y, None, 1.0),
        lambda x, y: tico.along_moment_plain(x, y, None, 1.0),
        2,
        lambda x, y: float((x.abs() @ y.abs().mT).square().sum(1).max()),
    ),
    "along their own moment": Path(
        lambda x: tico.along_moment(x, x, moment(x.detach()), 0.3),
        lambda x: tico.along_moment_plain(x, x, moment(x.detach()), 0.3),
        1,
        lambda x: float(
            (x.abs() @ x.abs().mT).square().sum(1).max()
            + ((x.abs() @ moment(x).abs()) * x.abs()).sum(1).max()
        ),
    ),
    "along an earlier moment": Path(
        lambda x, y: tico.along_moment(x, y, moment(x.detach()), 0.3),
        lambda x, y: tico.along_moment_plain(x, y, moment(x.detach()), 0.3),
        2,
        lambda x, y: float(
            (x.abs() @ y.abs().mT).square().sum(1).max()
            + ((x.abs() @ moment(x).abs()) * x.abs()).sum(1).max()
        ),
    ),
    "products": Path(
        of_sphere(lambda x, y: log_sum_exp.products(x, y, (), 9.0)),
        of_sphere(log_sum_exp.products_plain), 2, largest,
    ),
    "products, one left out": Path(
        of_sphere(lambda x, y: log_sum_exp.products(x, y, (1 - len(x),), 9.0)),
        of_sphere(lambda x, y: log_sum_exp.products_plain(x, y, (1 - len(x),))), 2, largest,
    ),
    "products without a bound": Path(
        of_sphere(log_sum_exp.products), of_sphere(log_sum_exp.products_plain), 2, largest
    ),
    "both": Path(
        of_sphere(lambda x, y: log_sum_exp.both(x, y, 9.0)),
        of_sphere(log_sum_exp.both_plain), 2, largest,
    ),
    "alignment": Path(alignment.distance, alignment.distance_plain, 2, lambda x, y: 4.0),
    "one matrix": Path(
        lambda x, y: one_matrix.contrast(x, y, 9.0),
        lambda x, y: one_matrix.contrast_plain(x, y, 9.0), 2, largest,
    ),
    "one matrix, both ways": Path(
        lambda x, y: one_matrix.contrast(x, y, 9.0, both=True),
        lambda x, y: one_matrix.contrast_plain(x, y, 9.0, both=True), 2, largest,
    ),
    "one matrix of all views": Path(
        lambda x, y: one_matrix.gram(x, y, 9.0),
        lambda x, y: one_matrix.gram_plain(x, y, 9.0), 2, largest,
    ),
    "gram": Path(
        of_sphere(lambda z: log_sum_exp.gram(z, 9.0)),
        of_sphere(log_sum_exp.gram_plain), 1, largest,
    ),
    "gram without partners": Path(
        of_sphere(lambda x, y: log_sum_exp.gram(torch.cat([x, y]), 9.0, (0, len(x)))),
        of_sphere(lambda x, y: log_sum_exp.gram_plain(torch.cat([x, y]), (0, len(x)))), 2, largest,
    ),
}  # fmt: skip


def drawn(count: int, shape: tuple[int, int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(shape, generator=generator, dtype=torch.float64)
    views = [shared + 0.5 * torch.randn(shape, generator=generator) for _ in range(count)]
    # Away from zero, where directions are not defined.
    return [(z + z.sign() * 0.1 + 0.2).float() for z in views]


def values_and_gradients(
    formula: Formula, inputs: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    x = [z.clone().requires_grad_() for z in inputs]
    values = formula(*x)
    values = [values] if isinstance(values, Tensor) else list(values)
    total = torch.zeros((), dtype=x[0].dtype)
    for value in values:
        weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype)
        total = total + (value * weight.view(value.shape)).sum()
    found = torch.autograd.grad(total, x)
    return [value.detach() for value in values], list(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile", [5, 1024])
@pytest.mark.parametrize("name", PATHS)
@settings(max_examples=20)
@given(shape=SHAPES, seed=st.integers(0, 2**16))
def test_fast_is_plain(
    name: str, tile: int, dtype: torch.dtype, shape: tuple[int, int], seed: int
) -> None:
    path, inputs = PATHS[name], drawn(PATHS[name].inputs, shape, seed)
    exact = [x.double() for x in inputs]
    before, log_sum_exp.TILE = log_sum_exp.TILE, tile
    try:
        values, gradients = values_and_gradients(path.fast, [x.to(dtype) for x in inputs])
    finally:
        log_sum_exp.TILE = before
    expected, slopes = values_and_gradients(path.plain, exact)
    scale, eps = path.scale(*exact), torch.finfo(dtype).eps
    for ours, reference in zip(values, expected, strict=True):
        assert float((ours.double() - reference).abs().max()) <= 32 * eps * scale
    # A gradient sums over rows and columns; a small norm or deviation divides it.
    least = min(min(float(x.norm(dim=1).min()), float(x.std(0).min())) for x in exact)
    scale = sum(shape) * (scale + max(float(s.abs().max()) for s in slopes)) / min(least, 1.0)
    for ours, reference in zip(gradients, slopes, strict=True):
        assert ours.dtype == dtype
        assert float((ours.double() - reference).abs().max()) <= 32 * eps * scale


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("shape", [(3, 2), (2, 4)])
def test_gradients_and_second_derivatives(name: str, shape: tuple[int, int]) -> None:
    x = [z.double().requires_grad_() for z in drawn(PATHS[name].inputs, shape, 3)]
    assert torch.autograd.gradcheck(PATHS[name].fast, x)
    assert torch.autograd.gradgradcheck(PATHS[name].fast, x)


def test_no_gradient_is_made_that_nobody_wants() -> None:
    x, y = torch.randn(2, 5, 3)
    value = log_sum_exp.products(x.requires_grad_(), y, (), 40.0).sum()
    value.backward()
    assert x.grad is not None
    assert y.grad is None


def test_a_zero_row_has_torchs_gradient() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    for formula in (unit.unit, unit.unit_plain):
        z = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(formula(z).sum(), z)
        assert slope[0].tolist() == [1e12, 1e12]
    y = torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    for formulas in (
        (one_matrix.contrast, one_matrix.contrast_plain),
        (one_matrix.gram, one_matrix.gram_plain),
    ):
        slopes = []
        for formula in formulas:
            z = x.clone().requires_grad_()
            slopes += torch.autograd.grad(formula(z, y, 1.0).sum(), z)
        torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("n", [2, 40])
def test_few_pairs_cost_what_many_do(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(2, (n, 7), 5)
    for term in (terms.InfoNCE(), terms.InfoNCE.clip(), terms.NTXent()):
        plain = values_and_gradients(term, [x.double(), y.double()])
        with monkeypatch.context() as patch:
            patch.setattr(info_nce, "SMALL", 0)
            patch.setattr(nt_xent, "SMALL", 0)
            tiled = values_and_gradients(term, [x.double(), y.double()])
        for ours, reference in zip([*tiled[0], *tiled[1]], [*plain[0], *plain[1]], strict=True):
            torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)
