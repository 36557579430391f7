"""Clusters: the nearest center, Lloyd's pass, and the k-means++ start.

Rows come in batches that can be read again, are used in chunks that fit a processor's
cache, and belong to all processes together.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.latent.moments import wide
from ebm.shapes import Energies, Labels, Matrix, Points, Scalar

ROWS = 2048
BLOCK = 32
"""Columns whose least one is found at once."""

Batches = Iterable[tuple[Tensor, ...]]


@torch.no_grad()
def nearest(x: Points, centers: Matrix) -> Labels:
    """Return the index of the nearest center of each row, the first one among equals."""
    checks.features(x, centers.shape[1], centers)
    find = _finder(centers)
    return torch.cat([find(rows) for rows in x.split(ROWS)])


def squared_distance(x: Points, centers: Matrix) -> Energies:
    """Return min_k |x - c_k|^2, differentiable where the nearest center is unique."""
    with torch.no_grad():
        labels = nearest(x, centers)
    return (x - centers[labels]).square().sum(-1)


def lloyd(batches: Batches, centers: Matrix) -> tuple[Matrix, Scalar]:
    """Return the mean of the rows nearest to each center, and the distance before.

    The distance is the mean over all rows of min_k |x - c_k|^2 to the centers that came in;
    it never rises from pass to pass. An empty cluster takes the row that is farthest from
    its own center, as in scikit-learn.
    """
    dtype = wide(centers)
    shifts = torch.zeros_like(centers, dtype=dtype)
    counts, error = shifts.new_zeros(len(centers)), shifts.new_zeros(())
    # Part by part: what is computed for a row does not leave the cache.
    find = _finder(centers)
    buffer = centers.new_empty(ROWS, centers.shape[1])
    for rows in (part for whole in _rows(batches) for part in whole.split(ROWS)):
        labels = find(rows)
        offsets = torch.index_select(centers, 0, labels, out=buffer[: len(rows)])
        torch.sub(rows, offsets, out=offsets)
        shifts += torch.zeros_like(centers).index_add_(0, labels, offsets)
        counts += torch.bincount(labels, minlength=len(centers))
        error += offsets.mul_(offsets).sum(1).sum(dtype=dtype)
    shifts, counts, error = (distributed.total(value) for value in (shifts, counts, error))
    distance = error / counts.sum()
    empty = (counts == 0).nonzero().flatten()
    if len(empty):
        _relocate(batches, centers, empty, shifts, counts)
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


def _finder(centers: Matrix) -> Callable[[Points], Labels]:
    """Return the function that finds the nearest center of each of at most `ROWS` rows."""
    # |x - c|^2 / 2 up to |x|^2 / 2; shifted, so that far from the origin no digits cancel.
    shift = centers.mean(0)
    table = centers - shift
    half = table.square().sum(-1) / 2
    if centers.device.type != "cpu" or len(centers) <= 2 * BLOCK:
        return lambda rows: torch.addmm(half, rows - shift, table.T, alpha=-1).min(-1).indices
    # Centers at an infinite distance fill the last block.
    more = -len(centers) % BLOCK
    half = torch.nn.functional.pad(half, (0, more), value=math.inf)
    table = torch.nn.functional.pad(table, (0, 0, 0, more)).T
    shifted, values = centers.new_empty(ROWS, len(shift)), centers.new_empty(ROWS, len(half))

    def find(rows: Points) -> Labels:
        count = len(rows)
        near = torch.sub(rows, shift, out=shifted[:count])
        return _first_least(torch.addmm(half, near, table, alpha=-1, out=values[:count]))

    return find


def _first_least(values: Tensor) -> Labels:
    """Return the index of the least value of each row, the first one among equals.

    Processors find a least value many times faster than its place: the least of each block is
    found first, then the block, then the place in it.
    """
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
    batches: Batches, centers: Tensor, empty: Tensor, shifts: Tensor, counts: Tensor
) -> None:
    """Move empty clusters to the rows that are farthest from their centers, in place."""
    rows, labels = centers.new_zeros(len(empty), centers.shape[1]), empty
    far = rows.new_full((len(empty),), -1.0)
    for more in _rows(batches):
        mine = nearest(more, centers)
        rows, labels = torch.cat([rows, more]), torch.cat([labels, mine])
        far = torch.cat([far, (more - centers[mine]).square().sum(-1)])
        kept = _farthest(far, len(empty))
        far, rows, labels = far[kept], rows[kept], labels[kept]
    far = distributed.gather(far)
    kept = _farthest(far, len(empty))
    far = far[kept]
    rows, labels = distributed.gather(rows)[kept], distributed.gather(labels)[kept]
    moved = far > 0
    rows, labels, empty = rows[moved], labels[moved], empty[moved]
    shifts.index_add_(0, labels, (centers[labels] - rows).to(shifts.dtype))
    counts.index_add_(0, labels, torch.full_like(counts[labels], -1))
    shifts[empty] = (rows - centers[empty]).to(shifts.dtype)
    counts[empty] = 1


def _farthest(distances: Tensor, count: int) -> Tensor:
    # The two rows of a pair are equally far from their mean; compared in float32 the first
    # of them is taken, and not the one that rounding, or the number of processes, favors.
    return distances.float().sort(descending=True, stable=True).indices[:count]
