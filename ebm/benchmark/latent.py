"""Latent methods beside scikit-learn: time, memory, and the value that both minimize.

Every contender runs in a process of its own, from the same numbers and the same start, with
as many threads as torch has here. Memory is what the process grew by at its peak. Settings of
OpenBLAS in the environment, which scikit-learn uses and torch does not, are left out.
"""

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One task, ours beside scikit-learn's."""

    task: str
    value: str
    """What the two value columns are."""
    ours_seconds: float
    theirs_seconds: float
    ours_megabytes: float
    theirs_megabytes: float
    ours_value: float
    theirs_value: float
    goal: float | None = None
    """Most that our time over theirs should be."""

    @property
    def ratio(self) -> float:
        """Our time over theirs."""
        return self.ours_seconds / self.theirs_seconds


@dataclass(frozen=True)
class Task:
    """A problem and two ways to solve it: each returns its value, given the data."""

    name: str
    value: str
    data: Callable[[int], tuple[Tensor, ...]]
    """The problem, with one so many-th of its rows."""
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    judge: Callable[..., float]
    """The value of an answer, from the data; its time does not count."""
    goal: float
    """Most that our time over theirs should be."""


def run(*, quick: bool = False) -> Iterator[Row]:
    """Yield the rows, measured one after another.

    Args:
        quick: A tenth of the rows, for which there are no goals.
    """
    for name in TASKS:
        yield _row(name, 10) if quick else replace(_row(name, 1), goal=TASKS[name].goal)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(
        f"{'task':36} {'ours s':>7} {'theirs s':>8} {'ratio':>5} {'goal':>5} {'ours MB':>7} "
        f"{'theirs':>6}  {'value':16} {'ours':>12} {'theirs':>12}"
    )
    for row in rows:
        goal = "-" if row.goal is None else f"{row.goal:g}"
        print(
            f"{row.task:36} {row.ours_seconds:7.2f} {row.theirs_seconds:8.2f} {row.ratio:5.2f} "
            f"{goal:>5} {row.ours_megabytes:7.0f} {row.theirs_megabytes:6.0f}  {row.value:16} "
            f"{row.ours_value:12.7g} {row.theirs_value:12.7g}"
        )


def _row(name: str, part: int) -> Row:
    task = TASKS[name]
    measured = []
    for side in ("ours", "theirs"):
        context = multiprocessing.get_context("spawn")
        with _default_blas(), ProcessPoolExecutor(1, mp_context=context) as pool:
            arguments = (name, side, part, torch.get_num_threads())
            measured.append(pool.submit(_measure, *arguments).result())
    (ours, our_peak, our_value), (theirs, their_peak, their_value) = measured
    return Row(task.name, task.value, ours, theirs, our_peak, their_peak, our_value, their_value)


def _measure(name: str, side: str, part: int, threads: int) -> tuple[float, float, float]:
    import warnings

    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")  # scikit-learn says that it stopped before it converged
    torch.set_num_threads(threads)
    task = TASKS[name]
    data = task.data(part)
    solve = getattr(task, side)
    with threadpool_limits(threads):
        small = (data[0][: max(len(data[0]) // 50, 300)], *data[1:])
        solve(*small)  # imports, threads and caches
        before, start = _peak(), time.perf_counter()
        answer = solve(*data)
        seconds, after = time.perf_counter() - start, _peak()
    return seconds, after - before, task.judge(answer, *data)


@contextmanager
def _default_blas() -> Iterator[None]:
    """Start processes without settings of OpenBLAS: a core type or cache that slows it."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    for name in settings:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(settings)


def _peak() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _blobs(count: int, dim: int, kinds: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    means = 2 * torch.randn(kinds, dim, generator=generator)
    stretch = torch.randn(kinds, dim, dim, generator=generator) / dim**0.5
    labels = torch.randint(0, kinds, (count,), generator=generator)
    x = torch.empty(count, dim)
    for kind in range(kinds):
        rows = labels == kind
        noise = torch.randn(int(rows.sum()), dim, generator=generator)
        x[rows] = means[kind] + noise @ stretch[kind] + 0.3 * noise
    return x.to(dtype)


def _pca_data(part: int) -> tuple[Tensor, ...]:
    return (_blobs(100_000 // part, 64, 20, torch.float64),)


def _pca_ours(x: Tensor) -> Any:
    from methods import PCA

    method = PCA(16)
    method.sweep([(x,)])
    return method.axes


def _pca_theirs(x: Tensor) -> Any:
    from sklearn.decomposition import PCA

    return torch.as_tensor(PCA(16).fit(x.numpy()).components_)


def _pca_judge(axes: Tensor, x: Tensor) -> float:
    centered = x - x.mean(0)
    return float((centered - centered @ axes.T @ axes).square().sum(1).mean())


def _k_means_data(part: int) -> tuple[Tensor, ...]:
    x = _blobs(100_000 // part, 64, 100, torch.float32)
    return x, x[torch.linspace(0, 200, 256).long()] + torch.randn(
        256, 64, generator=torch.Generator().manual_seed(1)
    )


def _k_means_ours(x: Tensor, start: Tensor) -> Any:
    from methods import KMeans

    method = KMeans(len(start), start=start)
    for _ in range(20):
        method.sweep([(x,)])
    return method.centers


def _k_means_theirs(x: Tensor, start: Tensor) -> Any:
    from sklearn.cluster import KMeans

    settings: dict[str, Any] = {"init": start.numpy(), "n_init": 1, "max_iter": 20, "tol": 0}
    k_means = KMeans(len(start), **settings)
    return torch.as_tensor(k_means.fit(x.numpy()).cluster_centers_)


def _k_means_judge(centers: Tensor, x: Tensor, start: Tensor) -> float:
    from ebm.latent.clusters import squared_distance

    return float(squared_distance(x, centers).double().mean())


def _mixture_data(part: int) -> tuple[Tensor, ...]:
    x = _blobs(100_000 // part, 64, 16, torch.float64)
    return x, x[:16].clone()


def _mixture_ours(x: Tensor, start: Tensor) -> Any:
    from methods import GaussianMixture

    method = GaussianMixture(len(start), start=start)
    for _ in range(10):
        method.sweep([(x,)])
    return lambda x: method.energy(x)


def _mixture_theirs(x: Tensor, start: Tensor) -> Any:
    from sklearn.mixture import GaussianMixture

    covariance = np.cov(x.numpy().T, bias=True) + 1e-6 * np.eye(x.shape[1])
    precisions = np.repeat(np.linalg.inv(covariance)[None], len(start), 0)
    mixture = GaussianMixture(
        len(start),
        tol=0,
        max_iter=10,
        means_init=start.numpy(),
        weights_init=np.full(len(start), 1 / len(start)),
        precisions_init=precisions,
    )
    mixture.fit(x.numpy())
    return lambda x: -torch.as_tensor(mixture.score_samples(x.numpy()))


def _mixture_judge(energy: Any, x: Tensor, start: Tensor) -> float:
    return float(energy(x).mean())


def _patches(part: int) -> tuple[Tensor, ...]:
    from sklearn.datasets import load_sample_images

    from ebm import fit
    from methods import SparseCoding

    generator = np.random.default_rng(0)
    pictures = [picture.mean(-1) for picture in load_sample_images().images]
    patches = []
    while len(patches) < 10_000 // part:
        picture = pictures[generator.integers(len(pictures))]
        i, j = (generator.integers(0, size - 8) for size in picture.shape)
        patch = picture[i : i + 8, j : j + 8].ravel()
        patch = patch - patch.mean()
        if np.linalg.norm(patch) > 8:  # not flat: more than a gray level in each pixel
            patches.append(patch / np.linalg.norm(patch))
    x = torch.as_tensor(np.array(patches), dtype=torch.float32)
    torch.manual_seed(0)
    method = SparseCoding.example(x, atoms=256, sparsity_weight=SPARSITY)
    fit(method, x, steps=60, seed=0, progress=False,
        optimizer=lambda method: torch.optim.Adam(method.parameters(), 2e-2))  # fmt: skip
    return x, method.code.atoms.detach()


SPARSITY = 0.1


def _single(part: int) -> tuple[Tensor, ...]:
    return (*_patches(part), torch.tensor(1e-4))


def _double(part: int) -> tuple[Tensor, ...]:
    return (*(value.double() for value in _patches(part)), torch.tensor(1e-6))


def _lasso_ours(x: Tensor, atoms: Tensor, tolerance: Tensor) -> Any:
    from ebm.latent import CoordinateDescent, SparseCode

    code = SparseCode(atoms, sparsity_weight=SPARSITY)
    return CoordinateDescent(tolerance=float(tolerance)).solve(code, x).z


def _lasso_theirs(x: Tensor, atoms: Tensor, tolerance: Tensor) -> Any:
    from sklearn.linear_model import Lasso

    dictionary = np.asfortranarray(atoms.numpy().T)
    gram: Any = np.ascontiguousarray(dictionary.T @ dictionary)
    lasso = Lasso(
        SPARSITY / x.shape[1],
        fit_intercept=False,
        precompute=gram,
        tol=float(tolerance),
        max_iter=100_000,
    )
    return torch.as_tensor(lasso.fit(dictionary, x.numpy().T).coef_)


def _lasso_judge(z: Tensor, x: Tensor, atoms: Tensor, tolerance: Tensor) -> float:
    from ebm.latent import SparseCode

    code = SparseCode(atoms.double(), sparsity_weight=SPARSITY)
    return float(code.gap(x.double(), z.double()).detach().max())


TASKS = {
    "pca": Task(
        "PCA, 16 of 64 dimensions",
        "variance outside",
        _pca_data,
        _pca_ours,
        _pca_theirs,
        _pca_judge,
        goal=1.0,
    ),
    "k_means": Task(
        "k-means, K 256, 20 passes",
        "mean distance",
        _k_means_data,
        _k_means_ours,
        _k_means_theirs,
        _k_means_judge,
        goal=1.0,
    ),
    "mixture": Task(
        "mixture, K 16 full, 10 passes",
        "mean energy",
        _mixture_data,
        _mixture_ours,
        _mixture_theirs,
        _mixture_judge,
        goal=1.0,
    ),
    "lasso_single": Task(
        "lasso, 256 atoms, gap 1e-4, float32",
        "largest gap",
        _single,
        _lasso_ours,
        _lasso_theirs,
        _lasso_judge,
        goal=0.25,
    ),
    "lasso_double": Task(
        "lasso, 256 atoms, gap 1e-6, float64",
        "largest gap",
        _double,
        _lasso_ours,
        _lasso_theirs,
        _lasso_judge,
        goal=1.0,
    ),
}
