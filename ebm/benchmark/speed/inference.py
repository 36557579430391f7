"""Inference and latent methods beside scikit-learn, each side in its own numbers."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebm.benchmark import latent
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, Work

REST = 0.15
"""Seconds in which the threads of scikit-learn's OpenBLAS fall asleep."""


def tasks(peers: Peers, device: torch.device, *, quick: bool = False) -> Iterator[Task]:
    """Yield the tasks; quick ones have a hundredth of the rows."""
    if device.type == "cpu":
        for task in _tasks(peers, quick=quick):
            yield replace(task, rest=REST)


def _tasks(peers: Peers, *, quick: bool) -> Iterator[Task]:
    part = 100 if quick else 1
    here = peers.module("scikit-learn", "sklearn") is not None
    from threadpoolctl import threadpool_limits

    threadpool_limits(torch.get_num_threads())
    goals = {"lasso_single": 0.25}
    for name, share in (
        ("pca", 1),
        ("k_means", 1),
        ("mixture", 4),
        ("lasso_single", 4),
        ("lasso_double", 4),
    ):
        task = latent.TASKS[name]
        data = task.data(part * (share if part == 1 else 1))
        yield Task(
            "inference", task.name, f"{len(data[0])} x {data[0].shape[1]}",
            _quiet(task.ours, data), {"scikit-learn": _quiet(task.theirs, data)} if here else {},
            time_goal=goals.get(name, 1.0), seconds=4, limit=_limit(name, data),
        )  # fmt: skip
    yield from _more(part, here=here)


def _more(part: int, *, here: bool) -> Iterator[Task]:
    x = latent._blobs(50_000 // part, 64, 100, torch.float32)
    yield Task(
        "inference", "mini-batch k-means, K 256, a pass", f"{len(x)} x 64",
        lambda: _mini_batch(x), {"scikit-learn": _quiet(_mini_batch_theirs, (x,))} if here else {},
        time_goal=1.0, seconds=3,
    )  # fmt: skip
    yield Task(
        "inference", "k-means++, K 64", f"{len(x) // 5} x 64",
        lambda: _plus_plus(x[::5]), {"scikit-learn": _quiet(_plus_plus_theirs, (x[::5],))}
        if here else {}, time_goal=1.0, seconds=4,
    )  # fmt: skip
    patches, atoms = latent._patches(part)
    yield Task(
        "inference", "dictionary of 256 atoms, a pass", f"{len(patches)} patches",
        lambda: _dictionary(patches, atoms),
        {"scikit-learn": _quiet(_dictionary_theirs, (patches, atoms))} if here else {},
        time_goal=1.0, seconds=3,
    )  # fmt: skip
    for count in (16, 32, 64) if part > 1 else (64, 128, 256, 512):
        some = (
            patches[:1000],
            torch.nn.functional.normalize(
                torch.randn(count, patches.shape[1], generator=torch.Generator().manual_seed(0))
            ),
        )
        yield Task(
            "inference", "lasso, growing atoms", f"{len(some[0])} patches, {count} atoms",
            lambda some=some: latent._lasso_ours(*some, torch.tensor(1e-4)),
            {"scikit-learn": _quiet(latent._lasso_theirs, (*some, torch.tensor(1e-4)))}
            if here else {}, time_goal=1.0, growth=("atoms", count), seconds=4,
        )  # fmt: skip


def _quiet(solve: Callable[..., Any], data: tuple[Tensor, ...]) -> Work:
    def work() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn says that it stopped early
            return solve(*data)

    return work


def _limit(name: str, data: tuple[Tensor, ...]) -> Work | None:
    """Return the matrix products of k-means and of mixtures."""
    if name == "k_means":
        x, centers = data
        parts, product = x.split(4096), x.new_empty(4096, len(centers))

        def products() -> None:
            for rows in parts * 20:
                torch.mm(rows, centers.T, out=product[: len(rows)])

        return products
    if name == "mixture":
        x, means = data
        factor = torch.eye(x.shape[1], dtype=x.dtype)

        def work() -> None:
            for rows in x.split(512):
                for _ in range(10 * len(means)):
                    torch.mm(rows, factor)
                    torch.mm(rows.T, rows)

        return work
    return None


def _mini_batch(x: Tensor) -> Any:
    from methods import MiniBatchKMeans

    torch.manual_seed(0)
    method = MiniBatchKMeans(256, rows=1024)
    method.sweep([(x,)])
    return method.centers


def _mini_batch_theirs(x: Tensor) -> Any:
    from sklearn.cluster import MiniBatchKMeans

    settings: dict[str, Any] = {"n_init": 1, "max_iter": 1, "batch_size": 1024}
    settings |= {"max_no_improvement": None, "random_state": 0, "init_size": 4096}
    return MiniBatchKMeans(256, **settings).fit(x.numpy()).cluster_centers_


def _plus_plus(x: Tensor) -> Any:
    from ebm.latent.clusters import plus_plus

    torch.manual_seed(0)
    return plus_plus([(x,)], 64)


def _plus_plus_theirs(x: Tensor) -> Any:
    from sklearn.cluster import kmeans_plusplus

    return kmeans_plusplus(x.numpy(), 64, random_state=0)


def _dictionary(x: Tensor, atoms: Tensor) -> Any:
    from methods import SparseCoding

    method = SparseCoding(atoms, sparsity_weight=latent.SPARSITY)
    optimizer = torch.optim.Adam(method.parameters(), 1e-3)
    for rows in x.split(256):
        optimizer.zero_grad()
        sum(value.mean() for value in method.terms(rows).values()).backward()  # pyright: ignore
        optimizer.step()
        method.after_step()
    return method.code.atoms


def _dictionary_theirs(x: Tensor, atoms: Tensor) -> Any:
    from sklearn.decomposition import MiniBatchDictionaryLearning

    settings: dict[str, Any] = {"fit_algorithm": "cd", "batch_size": 256, "max_iter": 1}
    settings |= {"alpha": latent.SPARSITY}
    settings |= {"dict_init": np.ascontiguousarray(atoms.numpy()), "shuffle": False}
    settings |= {"max_no_improvement": None, "tol": 0.0, "transform_algorithm": "lasso_cd"}
    learned = MiniBatchDictionaryLearning(len(atoms), **settings)
    return learned.fit(x.numpy()).components_
