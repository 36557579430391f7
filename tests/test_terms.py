"""Every term against an independent formula, written from the paper's equation in float64."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import methods
from ebm import Energy, Reach, terms
from ebm.terms import log_sum_exp
from ebm.traits import CollapseValue, evaluate, find

EPS = torch.finfo(torch.float64).eps


def close(ours: Tensor, reference: Tensor, scale: float) -> None:
    error = float((ours - reference).detach().abs().max())
    assert error <= 32 * EPS * scale, f"{error:.3g} > 32 eps {scale:.3g}"


def cosines(x: Tensor, y: Tensor) -> Tensor:
    x = x / x.pow(2).sum(1, keepdim=True).sqrt()
    y = y / y.pow(2).sum(1, keepdim=True).sqrt()
    return x @ y.T


def covariance_matrix(x: Tensor) -> Tensor:
    centered = x - x.sum(0) / len(x)
    return torch.einsum("nj,nk->jk", centered, centered) / (len(x) - 1)


def variance(*views: Tensor) -> Tensor:
    hinges = [(1 - (covariance_matrix(v).diag() + 1e-4).sqrt()).clamp(min=0) for v in views]
    return torch.stack(hinges).mean(1).sum() / len(views)


def covariance(*views: Tensor) -> Tensor:
    d = views[0].shape[1]
    off = ~torch.eye(d, dtype=torch.bool)
    return sum(((covariance_matrix(v)[off] ** 2).sum() / d for v in views), torch.zeros(()))


def barlow(x: Tensor, y: Tensor) -> Tensor:
    def normed(z: Tensor) -> Tensor:
        centered = z - z.sum(0) / len(z)
        return centered / ((centered**2).sum(0) / len(z) + 1e-5).sqrt()

    c = torch.einsum("nj,nk->jk", normed(x), normed(y)) / len(x)
    off = ~torch.eye(len(c), dtype=torch.bool)
    return ((1 - c.diag()) ** 2).sum() + 0.0051 * (c[off] ** 2).sum()


def info_nce(x: Tensor, y: Tensor, t: float = 0.1) -> Tensor:
    scores = (cosines(x, y) / t).exp()
    return -(scores.diag() / scores.sum(1)).log()


def nt_xent(x: Tensor, y: Tensor, t: float = 0.1) -> Tensor:
    n, z = len(x), torch.cat([x, y])
    scores = (cosines(z, z) / t).exp()
    others = 1 - torch.eye(2 * n, dtype=x.dtype)
    partner = torch.arange(2 * n).roll(n)
    losses = -(scores[torch.arange(2 * n), partner] / (scores * others).sum(1)).log()
    return (losses[:n] + losses[n:]) / 2


def decoupled(x: Tensor, y: Tensor, t: float = 0.1, spread: float | None = None) -> Tensor:
    n, z = len(x), torch.cat([x, y])
    scores, positive = cosines(z, z) / t, cosines(x, y).diag()
    weight = torch.ones(n, dtype=x.dtype)
    if spread is not None:
        e = (positive.detach() / spread).exp()
        weight = 2 - n * e / e.sum()
    index = torch.arange(2 * n) % n
    negatives = (index[:, None] != index).to(x.dtype)
    sums = (scores.exp() * negatives).sum(1).log()
    return -weight * positive / t + (sums[:n] + sums[n:]) / 2


def uniformity(x: Tensor) -> Tensor:
    z = x / x.pow(2).sum(1, keepdim=True).sqrt()
    i, j = torch.combinations(torch.arange(len(z))).T
    return (-2 * ((z[i] - z[j]) ** 2).sum(1)).exp().mean().log()


def moment(x: Tensor) -> Tensor:  # x_i^T (X^T X / N) x_i = mean_k cos(x_i, x_k)^2
    return (cosines(x, x) ** 2).sum(1) / len(x)


def swapped_codes(scores: Tensor) -> Tensor:
    q = (scores.detach() / 0.05).exp().T  # the authors' algorithm: divide the whole matrix in turn
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def swapped(x: Tensor, y: Tensor) -> Tensor:
    def entropy(q: Tensor, s: Tensor) -> Tensor:
        e = (s / 0.1).exp()
        return -(q * (e / e.sum(1, keepdim=True)).log()).sum(1)

    return (entropy(swapped_codes(x), y) + entropy(swapped_codes(y), x)) / 2


def distillation(x: Tensor, y: Tensor) -> Tensor:
    p, q = (y.detach() / 0.04).exp(), (x / 0.1).exp()
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    return -(p * q.log()).sum(1)


def whitening(x: Tensor, y: Tensor) -> Tensor:
    def white(z: Tensor) -> Tensor:
        inverse = torch.linalg.inv(torch.linalg.cholesky(covariance_matrix(z)))
        return (z - z.mean(0)) @ inverse.T

    return (2 - 2 * cosines(white(x), white(y)).diag()).mean()


def spread_out(*views: Tensor) -> float:
    """Return how much standardizing amplifies rounding: largest number over least deviation."""
    return max(float(v.abs().max() / v.std(0, correction=0).min()) for v in views)


def norms(*views: Tensor) -> float:
    return 1 / min(float(v.norm(dim=1).min()) for v in views)


@dataclass
class Case:
    term: Energy
    reference: Callable[..., Tensor]
    value: Callable[..., float]  # the natural magnitude of the value
    gradient: Callable[..., float]  # and of its gradient
    views: int = 2
    draw: str = "any"


def cosine_case(term: Energy, reference: Callable[..., Tensor], t: float, views: int = 2) -> Case:
    def value(*x: Tensor) -> float:
        return 2 / t + math.log(2 * len(x[0]))

    return Case(term, reference, value, lambda *x: value(*x) * norms(*x) / t, views)


def squares(*x: Tensor) -> float:
    return sum(float((v**2).sum(1).max()) for v in x)


def plain(*x: Tensor) -> float:
    return 1 + sum(float(v.abs().max()) ** 2 for v in x)


def correlated(*x: Tensor) -> float:
    d = x[0].shape[1]
    return d * (1 + 0.0051 * d) * spread_out(*x)


def cov_scale(*x: Tensor) -> float:
    return 1 + sum(float((v**2).sum()) ** 2 / (len(v) - 1) ** 2 / v.shape[1] for v in x)


def condition(*x: Tensor) -> float:
    numbers = [float(torch.linalg.cond(covariance_matrix(v))) for v in x]
    return max(numbers) * spread_out(*x)


CASES = {
    "invariance": Case(
        terms.Invariance(), lambda x, y: ((x - y) ** 2).sum(1) / x.shape[1], plain, plain
    ),
    "invariance_paper": Case(
        terms.Invariance.paper(), lambda x, y: ((x - y) ** 2).sum(1), squares, squares
    ),
    "reconstruction": Case(
        terms.Reconstruction(), lambda x, y: ((x - y) ** 2).sum(1), squares, squares
    ),
    "variance": Case(terms.Variance(), variance, plain, lambda *x: 100 * plain(*x)),
    "variance_paper": Case(
        terms.Variance.paper(), lambda *x: 2 * variance(*x), plain, lambda *x: 100 * plain(*x)
    ),
    "covariance": Case(terms.Covariance(), covariance, cov_scale, cov_scale),
    "covariance_mean": Case(
        terms.Covariance.mean(),
        lambda *x: covariance(*x) / max(x[0].shape[1] - 1, 1),
        cov_scale,
        cov_scale,
    ),
    "cross_correlation": Case(
        terms.CrossCorrelation(),
        barlow,
        correlated,
        lambda *x: correlated(*x) * spread_out(*x) ** 2,
    ),
    "cosine": cosine_case(terms.Cosine(), lambda x, y: -cosines(x, y).diag(), 1.0),
    "alignment": cosine_case(terms.Alignment(), lambda x, y: 2 - 2 * cosines(x, y).diag(), 1.0),
    "info_nce": cosine_case(terms.InfoNCE(), info_nce, 0.1),
    "clip": cosine_case(
        terms.InfoNCE.clip(), lambda x, y: (info_nce(x, y, 0.07) + info_nce(y, x, 0.07)) / 2, 0.07
    ),
    "nt_xent": cosine_case(terms.NTXent(temperature=0.2), lambda x, y: nt_xent(x, y, 0.2), 0.2),
    "nt_xent_official": cosine_case(terms.NTXent.official(), lambda x, y: 2 * nt_xent(x, y), 0.05),
    "decoupled": cosine_case(terms.Decoupled(), decoupled, 0.1),
    "decoupled_weighted": cosine_case(
        terms.Decoupled.weighted(), lambda x, y: decoupled(x, y, spread=0.5), 0.05
    ),
    "uniformity": cosine_case(terms.Uniformity(), uniformity, 0.25, views=1),
    "transformation_covariance": cosine_case(terms.TransformationCovariance(), moment, 1, views=1),
    "triplet": Case(
        terms.Triplet(),
        lambda x, y, n: torch.stack(
            [((x - y) ** 2).sum(1).sqrt() - ((x - n) ** 2).sum(1).sqrt() + 1, torch.zeros(len(x))]
        ).amax(0),
        plain,
        lambda *x: 1e3 * plain(*x),
        views=3,
    ),
    "triplet_paper": Case(
        terms.Triplet.paper(),
        lambda x, y, n: (((x - y) ** 2).sum(1) - ((x - n) ** 2).sum(1) + 0.2).clamp(min=0),
        squares,
        squares,
        views=3,
    ),
    "swapped_prediction": Case(
        terms.SwappedPrediction(), swapped, lambda *x: 100.0, lambda *x: 1000.0, draw="cosines"
    ),
    "distillation": Case(
        terms.Distillation(), distillation, lambda *x: 100.0, lambda *x: 1000.0, draw="cosines"
    ),
    "whitening": Case(
        terms.Whitening(), whitening, condition, lambda *x: condition(*x) ** 2, draw="regular"
    ),
}

SHAPES = st.one_of(
    st.sampled_from([(2, 1), (2, 33), (33, 1), (31, 2), (3, 3)]),
    st.tuples(st.integers(2, 12), st.integers(1, 12)),
)


def drawn(views: int, shape: tuple[int, int], seed: int, draw: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    n, d = shape
    n = max(n, 2 * d + 2) if draw == "regular" else n
    x = torch.randn(views, n, d, generator=generator, dtype=torch.float64)
    x = x + 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    if draw == "cosines":
        x = x.tanh()
    return [v.requires_grad_() for v in x.unbind()]


@pytest.mark.parametrize("name", CASES)
@given(shape=SHAPES, seed=st.integers(0, 2**16))
def test_value_and_gradient_are_the_papers(name: str, shape: tuple[int, int], seed: int) -> None:
    case = CASES[name]
    x = drawn(case.views, shape, seed, case.draw)
    ours, reference = case.term(*x), case.reference(*x)
    assert ours.shape == reference.shape
    bare = [v.detach() for v in x]
    close(ours, reference, case.value(*bare))
    weight = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    found = torch.autograd.grad((ours * weight).sum(), x, allow_unused=True)
    expected = torch.autograd.grad((reference * weight).sum(), x, allow_unused=True)
    for ours_in_x, reference_in_x in zip(found, expected, strict=True):
        if reference_in_x is None:
            assert ours_in_x is None
            continue
        scale = case.gradient(*bare) + float(reference_in_x.abs().max())
        close(ours_in_x, reference_in_x, len(bare[0]) * scale)


@pytest.mark.parametrize("name", CASES)
def test_the_value_does_not_change_its_inputs(name: str) -> None:
    case = CASES[name]
    x = [v.detach() for v in drawn(case.views, (12, 4), 0, case.draw)]
    before = [v.clone() for v in x]
    case.term(*x)
    assert all(torch.equal(a, b) for a, b in zip(x, before, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_half_precision_is_widened(name: str) -> None:
    case = CASES[name]
    generator = torch.Generator().manual_seed(1)
    shared = torch.randn(2048, 24, generator=generator)
    x = [8 * (shared + 0.3 * torch.randn(2048, 24, generator=generator)) for _ in range(case.views)]
    equal_in_half_precision(case.term, x)


def equal_in_half_precision(term: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    """Assert that value and gradient under autocast are those of float32, and finite."""
    found = {}
    for name, dtype in (("narrow", torch.bfloat16), ("wide", torch.float32)):
        x = [v.bfloat16().to(dtype).requires_grad_() for v in inputs]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=name == "narrow"):
            value = term(*x)
        gradients = torch.autograd.grad(value.sum(), x, allow_unused=True)
        found[name] = [value.detach(), *(g.float() for g in gradients if g is not None)]
        assert value.dtype == torch.float32
    for narrow, wide, allowed in zip(
        found["narrow"], found["wide"], [1e-5, *[2**-6] * len(inputs)], strict=False
    ):  # gradients go back to the inputs, and are added there, in bfloat16
        assert bool(narrow.isfinite().all())
        assert float((narrow - wide).abs().max()) <= allowed * float(wide.abs().max())


def test_half_precision_is_widened_where_more_than_views_come_in() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y, other = (8 * torch.randn(3, 2048, 24, generator=generator)).unbind()
    rows = 8 * torch.randn(2048, 5, 24, generator=generator)
    square = 8 * torch.randn(24, 24, generator=generator)
    contrast = terms.InstanceContrast(10_000)
    log_z = contrast.log_normalizer(x, y, rows)
    equal_in_half_precision(lambda *v: contrast(*v, log_z), [x, y, rows])
    equal_in_half_precision(terms.InfoNCE(), [x, y, other])
    equal_in_half_precision(terms.InfoNCE(), [x, y, rows])
    equal_in_half_precision(terms.TransformationCovariance(), [x, square])
    equal_in_half_precision(terms.Distillation(), [x, y, other.mean(0)])
    views_of = terms.Distillation()
    equal_in_half_precision(lambda a, b, c: views_of.over_views([a, b, c], [b, c]), [x, y, other])
    equal_in_half_precision(terms.SwappedPrediction(), [x, y, other])


# More than views: given negatives, memories, a running moment, several crops.


def matrices(shape: tuple[int, ...], count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    return [v.requires_grad_() for v in drawn.unbind()]


def same(ours: Tensor, reference: Tensor, x: list[Tensor], scale: float) -> None:
    """Assert that value and gradient in x are the reference's."""
    close(ours, reference, scale)
    weight = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    found, expected = (
        torch.autograd.grad((v * weight).sum(), x, retain_graph=True, materialize_grads=True)
        for v in (ours, reference)
    )
    size = len(x[0]) * scale * norms(*(v.detach().flatten(0, -2) for v in x)) * 20
    for a, b in zip(found, expected, strict=True):
        close(a, b, size)


@given(shape=SHAPES, m=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_given_negatives_are_the_papers(shape: tuple[int, int], m: int, seed: int) -> None:
    (n, d), t = shape, 0.1
    x, y = matrices(shape, 2, seed)
    (queue,), (bank,) = matrices((m, d), 1, seed + 1), matrices((n, m, d), 1, seed + 2)
    s, unit = cosines(x, y).diag() / t, torch.nn.functional.normalize(x, dim=1)
    far = (cosines(x, queue) / t).exp().sum(1)
    same(terms.InfoNCE()(x, y, queue), -(s.exp() / (s.exp() + far)).log(), [x, y, queue], 60)
    scores = torch.stack([cosines(unit[i : i + 1], bank[i])[0] for i in range(n)]) / t
    own = -(s.exp() / (s.exp() + scores.exp().sum(1))).log()
    same(terms.InfoNCE()(x, y, bank), own, [x, y, bank], 60)
    # Instance discrimination: noise-contrastive estimation with a constant Z, eqs. 4 to 8.
    term, log_z = terms.InstanceContrast(50, temperature=0.2), torch.tensor(4.0).double()
    p, q = (s * t / 0.2 - log_z).exp(), (scores * t / 0.2 - log_z).exp()
    nce = -(p / (p + m / 50)).log() - (m / 50 / (q + m / 50)).log().sum(1)
    same(term(x, y, bank, log_z), nce, [x, y, bank], 60 * m)
    everyone = torch.cat([s[:, None], scores], dim=1) * t / 0.2
    close(term.log_normalizer(x, y, bank), (50 * everyone.exp().mean()).log().detach(), 30)


@given(shape=SHAPES, seed=st.integers(0, 2**16))
def test_a_running_moment_counts_for_its_share(shape: tuple[int, int], seed: int) -> None:
    (x,), d = matrices(shape, 1, seed), shape[1]
    (previous,) = matrices((d, d), 1, seed + 1)
    previous = previous.detach()
    z = x / x.pow(2).sum(1, keepdim=True).sqrt()
    moment = 0.9 * previous + 0.1 * torch.einsum("nj,nk->jk", z, z) / len(z)
    same(
        terms.TransformationCovariance()(x, previous),
        torch.einsum("nj,jk,nk->n", z, moment, z),
        [x],
        1 + float(previous.abs().sum()),
    )


@given(
    shape=SHAPES,
    views=st.integers(2, 5),
    teachers=st.integers(1, 2),
    seed=st.integers(0, 2**16),
)
def test_several_views_are_the_papers(
    shape: tuple[int, int], views: int, teachers: int, seed: int
) -> None:
    students = matrices(shape, views, seed)
    targets = [v.detach() for v in matrices(shape, teachers, seed + 1)]
    center = matrices(shape[1:], 1, seed + 2)[0].detach()
    pairs = [(t, s) for t in range(teachers) for s in range(views) if s != t]
    scale = 60 * (1 + max(float(v.detach().abs().max()) for v in (*students, *targets, center)))

    def cross(p: Tensor, s: Tensor) -> Tensor:
        e = (s / 0.1 - (s / 0.1).amax(1, keepdim=True)).exp()
        return -(p * (e.log() - e.sum(1, keepdim=True).log())).sum(1)

    def sharp(y: Tensor) -> Tensor:
        e = ((y - center - (y - center).amax(1, keepdim=True)) / 0.04).exp()
        return e / e.sum(1, keepdim=True)

    expected = sum(cross(sharp(targets[t]), students[s]) for t, s in pairs) / len(pairs)
    same(terms.Distillation().over_views(students, targets, center), expected, students, scale)
    scores = [v.tanh() for v in students]
    term = terms.SwappedPrediction(assigning=teachers)
    codes = [swapped_codes(v) for v in scores[:teachers]]
    expected = sum(cross(codes[t], scores[s]) for t, s in pairs) / len(pairs)
    same(term(*scores), expected, students, scale)


# A third of the negatives of a row are given: a queue shared by all, a bank's rows for each.


def test_given_negatives_stand_beside_the_positive() -> None:
    x, y, queue = torch.randn(3, 5, 4, dtype=torch.float64)
    s, q = cosines(x, y).diag() / 0.1, cosines(x, queue) / 0.1
    expected = -(s.exp() / (s.exp() + q.exp().sum(1))).log()
    term = terms.InfoNCE()
    close(term(x, y, queue), expected, 30)
    close(term(x, y, queue.expand(5, 5, 4)), expected, 30)


def test_one_negative_is_a_logistic_loss() -> None:
    x, y, other = torch.randn(3, 1, 6, dtype=torch.float64)
    gap = (cosines(x, other) - cosines(x, y)).squeeze() / 0.1
    close(terms.InfoNCE()(x, y, other), torch.logaddexp(torch.zeros(()), gap), 30)


@pytest.mark.parametrize("shape", [(3, 5), (2, 7, 4), (0, 4), (7,)])
def test_negatives_that_fit_no_form_are_refused(shape: tuple[int, ...]) -> None:
    x = torch.randn(3, 4)
    with pytest.raises(ValueError, match="negatives must have shape"):
        terms.InfoNCE()(x, x, torch.randn(*shape))


@given(
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    d=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_blocks_equal_the_plain_formula(n: int, m: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(m, d, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(n, generator=generator, dtype=torch.float64)
    skip = (0, m - n) if m >= n + 2 else ()
    with small_blocks():
        ours = log_sum_exp.products(x, y, skip)
        found = torch.autograd.grad((ours * weight).sum(), (x, y))
    plain = log_sum_exp.products_plain(x, y, skip)
    expected = torch.autograd.grad((plain * weight).sum(), (x, y))
    close(ours, plain, 1 + float((x @ y.T).detach().abs().max()))
    for a, b in zip(found, expected, strict=True):
        close(a, b, 10 * (n + m) * float(weight.abs().max()) * 4)


@given(n=st.integers(2, 50), d=st.integers(1, 5), seed=st.integers(0, 999))
def test_tiles_equal_the_plain_formula(n: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    z = (3 * torch.nn.functional.normalize(z, dim=1)).requires_grad_()
    weight = torch.randn(n, generator=generator, dtype=torch.float64)
    plain = log_sum_exp.products_plain(z, z, (0,))
    (expected,) = torch.autograd.grad((plain * weight).sum(), z)
    for largest in (9.0, 90.0):  # one common shift; and where it would underflow
        with small_blocks():
            ours = log_sum_exp.gram(z, largest)
            (found,) = torch.autograd.grad((ours * weight).sum(), z)
        close(ours, plain, 20)
        close(found, expected, 10 * n * float(weight.abs().max()))


def test_blocks_pass_gradcheck() -> None:
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    with small_blocks():
        assert torch.autograd.gradcheck(lambda a, b: log_sum_exp.products(a, b, (2,)), (x, y))
        assert torch.autograd.gradcheck(lambda a: log_sum_exp.gram(a, 20.0), (y,))


class small_blocks:
    """Blocks and tiles of a few rows, however small the batch."""

    def __enter__(self) -> None:
        self.found = log_sum_exp.CHUNK, log_sum_exp.TILE
        log_sum_exp.CHUNK, log_sum_exp.TILE = 64, 4

    def __exit__(self, *_: object) -> None:
        log_sum_exp.CHUNK, log_sum_exp.TILE = self.found


COLLAPSE = {
    "invariance": lambda n, d: 0,
    "variance": lambda n, d: 0.99,
    "variance_paper": lambda n, d: 1.98,
    "covariance": lambda n, d: 0,
    "cross_correlation": lambda n, d: d,
    "info_nce": lambda n, d: math.log(n),
    "nt_xent": lambda n, d: math.log(2 * n - 1),
    "nt_xent_official": lambda n, d: 2 * math.log(2 * n - 1),
    "decoupled": lambda n, d: math.log(2 * n - 2),
    "decoupled_weighted": lambda n, d: math.log(2 * n - 2),
    "uniformity": lambda n, d: 0,
    "transformation_covariance": lambda n, d: 1,
    "cosine": lambda n, d: -1,
    "alignment": lambda n, d: 0,
    "triplet": lambda n, d: 1,
    "triplet_paper": lambda n, d: 0.2,
}


@pytest.mark.parametrize("name", COLLAPSE)
@pytest.mark.parametrize(("n", "d"), [(2, 1), (7, 3), (4, 9)])
def test_collapse_costs_what_is_documented(name: str, n: int, d: int) -> None:
    term, views = CASES[name].term, CASES[name].views
    row = torch.linspace(0.3, 0.9, d, dtype=torch.float64)
    value = float(term(*[row.expand(n, d)] * views).mean())
    stated = find(term.traits, CollapseValue)
    assert stated is not None
    assert value == pytest.approx(COLLAPSE[name](n, d), abs=1e-7)
    assert evaluate(stated.value, n, d) == pytest.approx(value, abs=1e-7)


def test_second_moment_is_not_centered() -> None:
    # Centered, collapse would be the global minimum of TiCo.
    collapsed = torch.ones(8, 4, dtype=torch.float64)
    spread = torch.randn(8, 4, dtype=torch.float64)
    term = terms.TransformationCovariance()
    assert float(term(collapsed).mean()) > float(term(spread).mean())
    # A running moment counts for its share.
    previous = torch.diag(torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    own = (cosines(spread, spread) ** 2).mean(1)
    first = torch.nn.functional.normalize(spread, dim=1)[:, 0] ** 2
    close(term(spread, previous), 0.9 * first + 0.1 * own, 10)


# Two views of three examples in two dimensions; the numbers were computed by hand-written
# Python floats from the formulas of the authors' main_vicreg.py.
X = torch.tensor([[0.5, -1.0], [0.25, 0.75], [-0.5, 0.5]], dtype=torch.float64)
Y = torch.tensor([[0.75, -0.5], [0.0, 1.0], [-0.25, 0.25]], dtype=torch.float64)


def official_vicreg(x: list[list[float]], y: list[list[float]]) -> float:
    n, d = len(x), len(x[0])
    distance = sum((x[i][j] - y[i][j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    hinge, redundancy = 0.0, 0.0
    for v in (x, y):
        mean = [sum(row[j] for row in v) / n for j in range(d)]
        cov = [
            [sum((row[j] - mean[j]) * (row[k] - mean[k]) for row in v) / (n - 1) for k in range(d)]
            for j in range(d)
        ]
        hinge += sum(max(0.0, 1 - math.sqrt(cov[j][j] + 1e-4)) for j in range(d)) / d / 2
        redundancy += sum(cov[j][k] ** 2 for j in range(d) for k in range(d) if j != k) / d
    return 25 * distance + 25 * hinge + redundancy


def test_vicreg_is_the_official_number() -> None:
    objective = 25 * terms.Invariance() + 25 * terms.Variance() + terms.Covariance()
    value = float(objective(X, Y).mean())
    assert value == pytest.approx(official_vicreg(X.tolist(), Y.tolist()), rel=1e-13)
    assert value == pytest.approx(10.39773757339529, rel=1e-13)
    method = methods.VICReg(nn.Identity()).terms(X, Y)  # with its own weights
    assert set(method) == {"invariance", "variance", "covariance"}
    total = sum(float(part.mean()) for part in method.values())
    assert total == pytest.approx(10.39773757339529, rel=1e-13)


def test_swapped_prediction_averages_over_other_crops() -> None:
    crops = [torch.randn(6, 5, dtype=torch.float64).tanh() for _ in range(4)]
    term = terms.SwappedPrediction()
    codes = [term.codes(c) for c in crops[:2]]
    pairs = [(t, s) for t in range(2) for s in range(4) if s != t]
    expected = sum(-(codes[t] * (crops[s] / 0.1).log_softmax(1)).sum(1) for t, s in pairs) / 6
    close(term(*crops), expected, 100)


def test_distillation_skips_the_same_view() -> None:
    students = [torch.randn(3, 5, dtype=torch.float64) for _ in range(4)]
    teachers = [torch.randn(3, 5, dtype=torch.float64) for _ in range(2)]
    center, term = torch.randn(5, dtype=torch.float64), terms.Distillation()
    pairs = [(t, s) for t in range(2) for s in range(4) if s != t]
    expected = sum(term(students[s], teachers[t], center) for t, s in pairs) / len(pairs)
    close(term.over_views(students, teachers, center), expected, 1000)
    with pytest.raises(ValueError, match="views must make at least one pair"):
        term.over_views(students[:1], teachers[:1])


def test_sinkhorn_uses_all_prototypes_alike() -> None:
    scores = torch.randn(12, 5, dtype=torch.float64).tanh()
    codes = terms.sinkhorn(scores, iterations=200)
    close(codes.sum(1), torch.ones(12, dtype=torch.float64), 1)
    assert torch.allclose(codes.sum(0), torch.full((5,), 12 / 5, dtype=torch.float64), rtol=1e-6)
    offset = 40 * torch.randn(5, dtype=torch.float64)  # one for each prototype is undone at once
    assert torch.allclose(terms.sinkhorn(scores + offset), terms.sinkhorn(scores), rtol=1e-10)
    far = terms.sinkhorn(scores.float() - torch.tensor([0, 0, 0, 0, 500.0]))
    assert bool(far.isfinite().all())


@pytest.mark.parametrize("spread", [0.01, 1.0, 2.5, 4.0, 30.0])
@pytest.mark.parametrize("shift", [0.0, -3.0, 3.0])
def test_sinkhorn_keeps_its_digits_in_single_precision(spread: float, shift: float) -> None:
    """Beside the iteration on logarithms in double precision."""
    scores = (spread * torch.randn(40, 7) + shift).float()
    rows, columns = torch.zeros(40, 1).double(), torch.zeros(1, 7).double()
    logits = scores.double() / 0.05
    for _ in range(3):
        columns = math.log(40 / 7) - torch.logsumexp(logits + rows, 0, keepdim=True)
        rows = -torch.logsumexp(logits + columns, 1, keepdim=True)
    # A rounded logit is off by its size times eps.
    slack = 8 * torch.finfo(torch.float32).eps * (1 + float(logits.abs().max()))
    torch.testing.assert_close(
        terms.sinkhorn(scores).double(), (logits + rows + columns).exp(), rtol=slack, atol=slack
    )


def test_whitening_divides_all_views_alike() -> None:
    x = torch.randn(32, 3, dtype=torch.float64)
    assert float(terms.Whitening(size=8, divisions=2)(x, x.clone())) == pytest.approx(0, abs=1e-12)
    y = x + 0.5 * torch.randn(32, 3, dtype=torch.float64)
    assert float(terms.Whitening(size=8)(x, y)) > 0.01
    white = terms.whitening.whiten(x)
    close(white.T @ white / 31, torch.eye(3, dtype=torch.float64), 10)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (terms.Variance(), "batch must hold at least 2 examples for a variance, got 1"),
        (terms.Covariance(), "batch must hold at least 2 examples for a covariance"),
        (terms.CrossCorrelation(), "batch must hold at least 2 examples for a correlation"),
        (terms.Decoupled(), "batch must hold at least 2 examples for decoupled negatives"),
        (terms.Whitening(), "batch must hold at least 4 examples for whitening"),
    ],
)
def test_one_example_has_no_statistics(term: Energy, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        term(torch.randn(1, 3), torch.randn(1, 3))


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.views == 2])
def test_views_of_two_shapes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="views must have one shape"):
        CASES[name].term(torch.randn(9, 3), torch.randn(9, 1))


def test_wrong_inputs_are_answered_with_the_cure() -> None:
    x = torch.randn(4, 2, 3)
    with pytest.raises(ValueError, match=r"embeddings must have shape \(batch, dim\).*flatten"):
        terms.InfoNCE()(x, x)
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        terms.NTXent(temperature=0.0)
    constant = torch.ones(4, 2)
    with pytest.raises(ValueError, match="eps must be positive where a dimension is constant"):
        terms.CrossCorrelation(eps=0.0)(constant, constant)
    with pytest.raises(ValueError, match="views must be at least 2 for Whitening"):
        terms.Whitening()(torch.randn(8, 2))
    with pytest.raises(ValueError, match="views must be at least 2 for SwappedPrediction"):
        terms.SwappedPrediction()(torch.randn(8, 2))
    with pytest.raises(ValueError, match="size must be above the dimensions, 5, got size=4"):
        terms.Whitening(size=4)(torch.randn(8, 5), torch.randn(8, 5))
    with pytest.raises(ValueError, match="embeddings must have a regular covariance"):
        terms.Whitening()(torch.ones(8, 2), torch.ones(8, 2))


def test_reach_and_parts() -> None:
    assert terms.Invariance().reach == Reach.OWN
    assert terms.InfoNCE().reach == terms.InfoNCE.clip().reach == Reach.NEGATIVES
    assert terms.Covariance().reach == Reach.STATISTICS
    x, y = torch.randn(2, 8, 3)
    term = terms.CrossCorrelation()
    assert list(term.parts(x, y)) == ["agreement", "redundancy"]
    assert torch.equal(sum(term.parts(x, y).values()), term(x, y))
    assert repr(terms.Variance.paper()) == "Variance(std=1, eps=0.0001, over_views=sum)"
