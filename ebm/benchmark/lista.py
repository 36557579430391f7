"""LISTA on patches of real pictures: what a layer is worth in iterations of FISTA.

A dictionary is learned from patches, the exact codes of all of them are inferred, and networks
of several depths are trained to give them. The error is the mean of |z - z*|^2 over
patches of test pictures. Beside it stand ISTA's and FISTA's after every iteration, from zeros and
without restarts; ISTA after T iterations is also the network of T layers before training.
One layer costs about what one iteration costs.

Patches are 10 x 10 and gray, without their mean and of unit length, like those of the paper;
flat ones are left out.

Reference: Gregor & LeCun, "Learning fast approximations of sparse coding", ICML 2010.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import methods
import toy_data
from ebm import Method, fit
from ebm.latent import CoordinateDescent, SparseCode

SIDE = 10
SPARSITY = 0.1
FLAT = 0.02
"""Standard deviation of pixels, of 1, below which a patch is flat."""


@dataclass(frozen=True)
class Row:
    """The error of one way to infer codes, after so many steps."""

    atoms: int
    method: str
    steps: int
    """Iterations, or layers of LISTA."""
    error: float
    """Mean of |z - z*|^2 over the test patches, where that of z = 0 is 1."""
    fista: int | None = None
    """Iterations of FISTA to an error as low, for LISTA."""
    ista: int | None = None
    """The same of ISTA."""
    patches: int | None = None
    """Patches that LISTA learned from."""


@dataclass(frozen=True)
class Budget:
    """How much of everything."""

    patches: int
    test: int
    dictionary: int
    """Steps that learn the dictionary, at each of two rates."""
    steps: int
    """Of training each network, 512 patches in each."""
    iterations: int
    """Of FISTA; ISTA gets three times as many."""
    depths: dict[int, tuple[int, ...]]
    """Layers of the networks for each number of atoms."""


SETS = {
    "fashion-mnist": toy_data.fashion_mnist,
    "mnist": toy_data.mnist,
    "cifar10": toy_data.cifar10,
}
FULL = Budget(100_000, 4_000, 100, 3_000, 200, {100: (1, 2, 3, 5, 7)})
QUICK = Budget(4_000, 500, 30, 100, 60, {100: (1, 3)})


def run(
    *, quick: bool = False, data: str = "fashion-mnist", done: Sequence[Row] = ()
) -> Iterator[Row]:
    """Yield the rows.

    Args:
        quick: Few patches and few steps.
        data: fashion-mnist, mnist or cifar10, the pictures that patches are cut from.
        done: Rows of an earlier run of the same settings; a dictionary whose rows are all
            there is not learned again.
    """
    budget = QUICK if quick else FULL
    train, test = patches(data, "train", budget.patches), patches(data, "test", budget.test)
    for atoms, depths in budget.depths.items():
        known = [row for row in done if row.atoms == atoms]
        if len(known) == 4 * budget.iterations + len(depths):
            yield from known
            continue
        code = learned(train, atoms, budget.dictionary)
        exact = CoordinateDescent(tolerance=1e-5).solve(code, train).z
        yield from _compared(code, train, exact, test, depths, budget)


def print_table(rows: Sequence[Row]) -> None:
    """Print what each network is worth."""
    print(
        f"{'atoms':>5} {'layers':>6} {'untrained':>9} {'trained':>9} {'FISTA its':>9} "
        f"{'per layer':>9} {'ISTA its':>8} {'patches':>8}"
    )
    untrained = {(row.atoms, row.steps): row.error for row in rows if row.method == "ISTA"}
    for row in rows:
        if row.method == "LISTA":
            start = untrained[row.atoms, row.steps]
            fista = "-" if row.fista is None else str(row.fista)
            each = "-" if row.fista is None else f"{row.fista / row.steps:.1f}"
            ista = "-" if row.ista is None else str(row.ista)
            print(
                f"{row.atoms:5} {row.steps:6} {start:9.4f} {row.error:9.4f} {fista:>9} "
                f"{each:>9} {ista:>8} {row.patches:8}"
            )


def patches(data: str, split: str, count: int) -> Tensor:
    """Return gray patches of unit length without their mean, (count, SIDE * SIDE)."""
    images = pictures(data, split)
    generator, steps = torch.Generator().manual_seed(0), torch.arange(SIDE)
    found, have = [], 0
    while have < count:
        picture = torch.randint(len(images), (count,), generator=generator)
        i, j = torch.randint(images.shape[-1] - SIDE + 1, (2, count, 1, 1), generator=generator)
        x = images[picture[:, None, None], i + steps[:, None], j + steps].flatten(1)
        x = x - x.mean(1, keepdim=True)
        x = x[x.square().mean(1).sqrt() > FLAT]
        found.append(x / x.norm(dim=1, keepdim=True))
        have += len(x)
    return torch.cat(found)[:count]


def pictures(data: str, split: str) -> Tensor:
    """Return gray pictures, (n, height, width).

    Raises:
        ValueError: There is no such set.
    """
    if data not in SETS:
        raise ValueError(f"data must be one of {', '.join(SETS)}, got {data!r}.")
    return SETS[data](split).images.mean(1)


def learned(x: Tensor, atoms: int, steps: int) -> SparseCode:
    """Return the energy of codes over a dictionary learned from the patches."""
    torch.manual_seed(0)
    method = methods.SparseCoding.example(x, atoms=atoms, sparsity_weight=SPARSITY)
    for rate in (2e-2, 4e-3):
        _train(method, x, steps, rate)
    return method.code


def _compared(
    code: SparseCode,
    train: Tensor,
    exact: Tensor,
    test: Tensor,
    depths: Sequence[int],
    budget: Budget,
) -> Iterator[Row]:
    atoms = len(code.atoms)
    wide = SparseCode(code.atoms.detach().double(), sparsity_weight=SPARSITY)
    truth = CoordinateDescent(tolerance=1e-10).solve(wide, test.double()).z.float()
    size = truth.square().sum(1).mean()

    def error(z: Tensor) -> float:
        return float((z - truth).square().sum(1).mean() / size)

    curves = {
        "ISTA": [error(z) for z in _iterates(code, test, 3 * budget.iterations, momentum=False)],
        "FISTA": [error(z) for z in _iterates(code, test, budget.iterations, momentum=True)],
    }
    for method, errors in curves.items():
        for steps, value in enumerate(errors, 1):
            yield Row(atoms, method, steps, value)
    for layers in depths:
        network = methods.LISTA(code, layers=layers)
        for share, rate in ((0.7, 1e-3), (0.2, 2e-4), (0.1, 4e-5)):
            _train(network, (train, exact), round(share * budget.steps), rate)
        with torch.no_grad():
            reached = error(network.encode(test))
        fista, ista = (_first(curves[name], reached) for name in ("FISTA", "ISTA"))
        yield Row(atoms, "LISTA", layers, reached, fista, ista, len(train))


def _train(method: Method, data: Tensor | tuple[Tensor, ...], steps: int, rate: float) -> None:
    optimizer = torch.optim.Adam(method.parameters(), rate)
    fit(method, data, steps=steps, batch_size=512, optimizer=optimizer, seed=0, progress=False)


def _iterates(code: SparseCode, x: Tensor, steps: int, *, momentum: bool) -> Iterator[Tensor]:
    """Yield the codes after each iteration: `ProximalDescent` without restarts, step by step."""
    with torch.no_grad():
        step, z, age = code.proximal_step(x), code.start(x), 1.0
        ahead = z
        for _ in range(steps):
            moved = step(ahead)
            older = (1 + (1 + 4 * age**2) ** 0.5) / 2
            ahead = moved + (age - 1) / older * (moved - z) if momentum else moved
            z, age = moved, older
            yield z


def _first(errors: Sequence[float], least: float) -> int | None:
    """Return the first iteration, counted from 1, whose error is no larger."""
    return next((steps for steps, error in enumerate(errors, 1) if error <= least), None)
