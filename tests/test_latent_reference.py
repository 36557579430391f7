"""Latent methods beside scikit-learn: on digits, and on 100,000 rows of 64 numbers."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import ebm
import methods
from ebm.benchmark.latent import _blobs

EPS = torch.finfo(torch.float64).eps


class Rows(NamedTuple):
    x: Tensor
    clusters: int
    passes: int
    """Of Lloyd's."""
    components: int
    floor: float
    """Added to variances: some pixels of the digits never vary."""
    codes: int
    """Rows whose sparse codes are inferred."""


@pytest.fixture(
    scope="module", params=["digits", pytest.param("100k x 64", marks=pytest.mark.slow)]
)
def rows(request):
    if request.param == "digits":
        from sklearn.datasets import load_digits

        return Rows(torch.as_tensor(load_digits().data / 16), 10, 30, 10, 1e-3, 300)
    return Rows(_blobs(100_000, 64, 20, torch.float64), 20, 10, 6, 1e-6, 100_000)


def _quietly(fit, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn, on stopping after some passes
        return fit(*data)


def test_pca_finds_the_subspace_and_the_variance(rows, record_property):
    from sklearn.decomposition import PCA

    x, n = rows.x, len(rows.x)
    reference = PCA(12, svd_solver="full").fit(x.numpy())
    method = methods.PCA(12)
    method.sweep([(x[: n // 3],), (x[n // 3 :],)])
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    # Davis & Kahan: rounding of the covariance, eps of its size, over the gap of eigenvalues.
    tolerance = float(64 * EPS * values.sum() / (values[11] - values[12]))
    ours, theirs = method.axes, torch.as_tensor(reference.components_)
    error = torch.linalg.matrix_norm(ours.T @ ours - theirs.T @ theirs, 2)
    record_property("says", f"subspaces differ by {float(error):.1e}, allowed {tolerance:.1e}")
    assert float(error) <= tolerance
    explained = torch.as_tensor(reference.explained_variance_) * (n - 1) / n
    slack = float(64 * EPS * values.sum())
    torch.testing.assert_close(method.variances, explained, rtol=0, atol=slack)
    # scikit-learn's ratio: explained over total variance; the rest is the mean energy.
    total = float(method.variances.sum() + method.energy(x).mean())
    ratio = float(method.variances.sum()) / total
    assert ratio == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-12)


def test_k_means_reaches_the_objective_from_the_same_start(rows, record_property):
    from sklearn.cluster import KMeans

    x, start = rows.x, rows.x[: rows.clusters]
    reference = KMeans(
        rows.clusters, init=start.numpy(), n_init=1, max_iter=rows.passes, tol=0, algorithm="lloyd"
    )
    _quietly(reference.fit, x.numpy())
    method = methods.KMeans(rows.clusters, start=start)
    for _ in range(rows.passes):
        method.sweep([(x,)])
    ours, theirs = float(method.energy(x).sum()), reference.inertia_
    record_property("says", f"objective {ours:.12g}, scikit-learn {theirs:.12g}")
    assert ours == pytest.approx(theirs, rel=1e-10)
    if reference.n_iter_ < rows.passes:  # it stopped at a fixed point of Lloyd's passes
        torch.testing.assert_close(
            method.centers, torch.as_tensor(reference.cluster_centers_), rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_mixtures_reach_the_likelihood_from_the_same_start(rows, kind, record_property):
    from sklearn.mixture import GaussianMixture

    x, k, floor = rows.x, rows.components, rows.floor
    covariance = torch.cov(x.T, correction=0)
    variances = covariance.diagonal()
    rule, precisions = {
        "full": (
            ebm.latent.Full(),
            torch.linalg.inv(covariance + floor * torch.eye(64)).expand(k, -1, -1),
        ),
        "diag": (ebm.latent.Diagonal(), (1 / (variances + floor)).expand(k, -1)),
        "spherical": (ebm.latent.Spherical(), (1 / (variances.mean() + floor)).expand(k)),
    }[kind]
    reference = GaussianMixture(
        k, covariance_type=kind, tol=0, max_iter=5, reg_covar=floor, means_init=x[:k].numpy(),
        weights_init=np.full(k, 1 / k), precisions_init=precisions.numpy(),
    )  # fmt: skip
    _quietly(reference.fit, x.numpy())
    method = methods.GaussianMixture(k, covariance=rule, start=x[:k], variance_floor=floor)
    for _ in range(5):
        method.sweep([(x,)])
    ours, theirs = -float(method.energy(x).mean()), float(reference.score(x.numpy()))
    record_property("says", f"log likelihood {ours:.10g}, scikit-learn {theirs:.10g}")
    assert ours == pytest.approx(theirs, abs=1e-6 * max(1.0, abs(theirs)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-6)])
def test_lasso_codes_reach_the_same_gap(rows, dtype, tolerance, record_property):
    from sklearn.linear_model import Lasso

    generator = torch.Generator().manual_seed(0)
    x = rows.x[: rows.codes] - rows.x.mean(0)
    x = x / x.norm(dim=1, keepdim=True)
    atoms = x[:96] + 0.02 * torch.randn(96, 64, generator=generator)
    atoms, x = (atoms / atoms.norm(dim=1, keepdim=True)).to(dtype), x.to(dtype)
    code = ebm.latent.SparseCode(atoms, sparsity_weight=0.1)
    found = ebm.latent.CoordinateDescent(tolerance=tolerance).solve(code, x)
    lasso = Lasso(
        0.1 / 64, fit_intercept=False, precompute=True, tol=tolerance, max_iter=100_000
    ).fit(np.asfortranarray(atoms.numpy().T), x.numpy().T)
    exact = ebm.latent.SparseCode(atoms.double(), sparsity_weight=0.1)
    x, ours, theirs = x.double(), found.z.double(), torch.as_tensor(lasso.coef_).double()
    gaps = [exact.gap(x, z).detach().clamp(min=0) for z in (ours, theirs)]
    record_property(
        "says", f"largest gap {float(gaps[0].max()):.2e}, scikit-learn {float(gaps[1].max()):.2e}"
    )
    assert bool(found.converged.all())
    assert all(float(gap.max()) <= 1.01 * tolerance for gap in gaps)
    # A gap bounds the distance to the minimum, so two energies differ by the larger one; and
    # half the squared distance of what is rebuilt to the best of it, which is unique.
    difference = (exact(x, ours) - exact(x, theirs)).abs()
    assert bool((difference <= torch.maximum(*gaps) + 32 * EPS).all())
    apart = ((ours - theirs) @ atoms.double()).norm(dim=1)
    assert bool((apart <= sum((2 * gap).sqrt() for gap in gaps) + 1e-12).all())
