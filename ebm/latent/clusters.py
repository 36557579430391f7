"""Clusters: the nearest center, Lloyd's pass, and the k-means++ start.

Rows come in batches that can be read again in the same order, are used in chunks that fit a
processor's cache, and belong to all processes together.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.latent.crew import Crew
from ebm.latent.moments import wide
from ebm.shapes import Energies, Labels, Matrix, Points, Scalar

ROWS = 2048
BLOCK = 32
"""Columns whose least one is found at once."""
MANY = 2048
"""Entries of all centers from which on compiled loops are worth their start."""
FEW = 2**20
"""Distances up to which threads are not worth their start."""

Batches = Iterable[tuple[Tensor, ...]]


@torch.no_grad()
def nearest(x: Points, centers: Matrix) -> Labels:
    """Return the index of the nearest center of each row, the first one among equals."""
    checks.features(x, centers.shape[1], centers)
    return torch.cat(_each(_crew(centers), x, _Member.nearest))


def squared_distance(x: Points, centers: Matrix) -> Energies:
    """Return min_k |x - c_k|^2, differentiable where the nearest center is unique."""
    with torch.no_grad():
        labels = nearest(x, centers)
    return (x - centers[labels]).square().sum(-1)


def lloyd(batches: Batches, centers: Matrix) -> tuple[Matrix, Scalar]:
    """Return the mean of the rows nearest to each center, and the distance before.

    The distance is the mean over all rows of min_k |x - c_k|^2 to the centers that came in;
    it never rises from pass to pass. An empty cluster takes the row that is farthest from
    its own center, as in scikit-learn. Each row's distance is remembered until then.
    """
    crew = _crew(centers)
    away = [_each(crew, rows, _Member.add) for rows in _rows(batches)]
    # Added one by one: torch's threads would spin for a while after a larger operation.
    sums = zip(*(member.sums for member in crew.members), strict=True)
    sums = (functools.reduce(torch.add, some) for some in sums)
    shifts, counts, error = map(distributed.total, sums)
    distance = error[0] / counts.sum()
    empty = (counts == 0).nonzero().flatten()
    if len(empty):
        _relocate(batches, away, centers, empty, shifts, counts)
    return centers + (shifts / counts.clamp(min=1)[:, None]).to(centers.dtype), distance


def plus_plus(batches: Batches, clusters: int) -> Matrix:
    """Return rows to start from, each drawn with probability ~ its squared distance.

    The best of a few candidates is taken at each draw (greedy k-means++). Draws come from
    torch's default generator, those of the first process.

    Raises:
        ValueError: There are fewer rows than clusters.

    Reference: Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding",
    SODA 2007.
    """
    trials = 2 + int(math.log(clusters))
    first = next(iter(batches))[0]
    # All draws at once: reading a DataLoader resets the default generator.
    draws = torch.rand(clusters, trials, dtype=torch.float64).to(wide(first))
    draws = distributed.total(draws.to(first.device) * (distributed.rank() == 0))
    masses = [torch.ones_like(rows[:, 0]) for rows in _rows(batches)]
    _enough(masses, clusters)
    centers = _pick(batches, masses, draws[0, :1])
    masses = [squared_distance(rows, centers) for rows in _rows(batches)]
    for draw in draws[1:]:
        candidates = _pick(batches, masses, draw)
        lowered = [
            torch.minimum(mass[:, None], _distances(rows, candidates))
            for rows, mass in zip(_rows(batches), masses, strict=True)
        ]
        left = distributed.total(sum((m.sum(0, dtype=draws.dtype) for m in lowered), draw * 0))
        best = left.float().argmin()  # see _farthest
        masses = [mass[:, best].contiguous() for mass in lowered]
        centers = torch.cat([centers, candidates[best, None]])
    return centers


class _Member:
    """What one thread of a pass has: space for distances, and sums of the rows it met.

    Args:
        centers: Centers, (clusters, dim).
    """

    def __init__(self, centers: Matrix) -> None:
        self.centers = centers
        # |x - c|^2 / 2 up to |x|^2 / 2; shifted, so that far from the origin no digits cancel.
        self.shift = centers.mean(0)
        table = centers - self.shift
        half = table.square().sum(-1) / 2
        # Centers at an infinite distance fill the last block.
        more = -len(centers) % BLOCK
        self.half = torch.nn.functional.pad(half, (0, more), value=math.inf)
        self.table = torch.nn.functional.pad(table, (0, 0, 0, more)).T
        self.shifted = centers.new_empty(ROWS, len(self.shift))
        self.values = centers.new_empty(ROWS, len(self.half))

    @functools.cached_property
    def sums(self) -> tuple[Matrix, Tensor, Tensor]:
        """Sums over the rows that were added: offsets from the centers, ones, and distances."""
        shifts = torch.zeros_like(self.centers, dtype=wide(self.centers))
        return shifts, shifts.new_zeros(len(shifts)), shifts.new_zeros(1)

    def nearest(self, rows: Points) -> Labels:
        """Return the index of each row's nearest center, the first one among equals."""
        return _first_least(self._near(rows))

    def add(self, rows: Points) -> Energies:
        """Add rows to the sums; return the squared distance of each."""
        return _adder(self.centers)(self._near(rows), rows, self.centers, *self.sums)

    def _near(self, rows: Points) -> Matrix:
        """Return values of which the least is the nearest center's."""
        near = torch.sub(rows, self.shift, out=self.shifted[: len(rows)])
        return torch.addmm(self.half, near, self.table, alpha=-1, out=self.values[: len(rows)])


def _crew(centers: Matrix) -> Crew[_Member]:
    return Crew(lambda: _Member(centers.detach()), centers.device)


def _each(crew: Crew[_Member], rows: Points, work: Callable[[_Member, Tensor], Any]) -> list[Any]:
    few = len(rows) * crew.members[0].values.shape[1] < FEW
    return crew.each(rows.split(ROWS), work, alone=few)


def _adder(centers: Matrix) -> Callable[..., Tensor]:
    """Return what adds rows to the sums of a pass: loops where numba is and they pay."""
    known = centers.device.type == "cpu" and centers.dtype in (torch.float32, torch.float64)
    if known and centers.numel() >= MANY:
        try:
            from ebm.latent import cluster_loops
        except ImportError:
            return add_plain
        return cluster_loops.add
    return add_plain


def add_plain(
    values: Tensor, rows: Tensor, centers: Tensor, shifts: Tensor, counts: Tensor, error: Tensor
) -> Tensor:
    """Add rows to the sums, each to those of the center whose value is its least.

    The plain form of `cluster_loops.add`.
    """
    labels = _first_least(values)
    offsets = rows - centers.index_select(0, labels)
    shifts += torch.zeros_like(centers).index_add_(0, labels, offsets)
    counts += torch.bincount(labels, minlength=len(centers))
    away = offsets.mul_(offsets).sum(1)
    error += away.sum(dtype=error.dtype)
    return away


def _first_least(values: Matrix) -> Labels:
    """Return the index of the least value of each row, the first one among equals.

    Processors find a least value many times faster than its place: the least of each block is
    found first, then the block, then the place in it.
    """
    if values.device.type != "cpu" or values.shape[1] <= 2 * BLOCK:
        return values.min(1).indices
    count = values.shape[1] // BLOCK
    block = values.unflatten(1, (count, BLOCK)).amin(2).min(1).indices
    places = torch.arange(0, len(values) * count, count).add_(block)
    least = values.view(-1, BLOCK).index_select(0, places).min(1).indices
    return least.add_(block, alpha=BLOCK)


def _rows(batches: Batches) -> Iterator[Tensor]:
    for x, *_ in batches:
        yield x.flatten(1)


def _distances(x: Tensor, centers: Tensor) -> Tensor:
    x, centers = x - centers[0], centers - centers[0]
    squares = x.square().sum(-1, keepdim=True) + centers.square().sum(-1)
    return torch.addmm(squares, x, centers.T, alpha=-2).clamp_(min=0)


def _enough(masses: list[Tensor], clusters: int) -> None:
    count = int(distributed.total(torch.tensor(sum(map(len, masses)), device=masses[0].device)))
    if count < clusters:
        raise ValueError(
            f"data must hold at least as many examples as clusters, got {count} examples and "
            f"clusters={clusters}. Ask for fewer clusters."
        )


def _pick(batches: Batches, masses: list[Tensor], draws: Tensor) -> Tensor:
    """Return one row per draw in [0, 1), chosen with probability ~ its mass."""
    ends = torch.cat(masses).cumsum(0, dtype=draws.dtype)
    sums = distributed.gather(ends[-1:])
    if not bool(sums.sum() > 0):  # every row is a center already
        return _pick(batches, [torch.ones_like(mass) for mass in masses], draws)
    borders = sums.cumsum(0)
    wanted = draws * borders[-1]
    mine = torch.bucketize(wanted, borders[:-1], right=True) == distributed.rank()
    place = torch.bucketize(wanted - borders[distributed.rank()] + ends[-1], ends, right=True)
    place = place.clamp(0, len(ends) - 1)
    picked, start = None, 0
    for rows in _rows(batches):
        here = mine & (place >= start) & (place < start + len(rows))
        picked = rows.new_zeros(len(draws), rows.shape[1]) if picked is None else picked
        picked[here] = rows[place[here] - start]
        start += len(rows)
    return distributed.total(torch.zeros(0) if picked is None else picked)


def _relocate(
    batches: Batches,
    distances: list[list[Tensor]],
    centers: Tensor,
    empty: Tensor,
    shifts: Tensor,
    counts: Tensor,
) -> None:
    """Move empty clusters to the rows that are farthest from their centers, in place."""
    rows = centers.new_zeros(len(empty), centers.shape[1])
    far = rows.new_full((len(empty),), -1.0)
    for more, parts in zip(_rows(batches), distances, strict=True):
        away = torch.cat(parts)
        # Those that as many others are not ahead of; a batch may be empty.
        least = away.float().topk(min(len(empty), len(away))).values[-1:]
        some = (away.float() >= least).nonzero().flatten()
        rows, far = torch.cat([rows, more[some]]), torch.cat([far, away[some]])
        kept = _farthest(far, len(empty))
        far, rows = far[kept], rows[kept]
    far = distributed.gather(far)
    kept = _farthest(far, len(empty))
    far, rows = far[kept], distributed.gather(rows)[kept]
    moved = far > 0
    rows, empty = rows[moved], empty[moved]
    labels = nearest(rows, centers)
    shifts.index_add_(0, labels, (centers[labels] - rows).to(shifts.dtype))
    counts.index_add_(0, labels, torch.full_like(counts[labels], -1))
    shifts[empty] = (rows - centers[empty]).to(shifts.dtype)
    counts[empty] = 1


def _farthest(distances: Tensor, count: int) -> Tensor:
    # The two rows of a pair are equally far from their mean; compared in float32 the first
    # of them is taken, and not the one that rounding, or the number of processes, favors.
    return distances.float().sort(descending=True, stable=True).indices[:count]
