"""Hypothesis strategies for what energies are fed with.

Every draw is a small explicit matrix, which shrinks entry by entry, or a seed for an
explicit generator, which replays: `matrices(kind, views, n, d, seed)` makes the same
numbers again from what a failure prints. Nothing here reads torch's global generator.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from ebm import checks
from ebm.testing.inputs import Input, Negatives, View

Draw = Callable[..., Any]
"""What `st.composite` hands to its function."""

SMALL = "small"
GENERIC = ("gaussian", "close", "equal")
"""Batches in general position: independent views, noisy views, equal views."""
SPECIAL = ("duplicated", "rank_one", "orthonormal", "one_hot", "opposite", "simplex")
DEGENERATE = ("near_collapsed", "collapsed", "offset", "tiny", "huge")
KINDS = (*GENERIC, *SPECIAL, *DEGENERATE)
"""Every kind that is made from a seed; `small` is drawn entry by entry."""

_ENTRIES = (1.0, 0.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 1.5, -1.5, 0.25, -0.25)


def matrices(kind: str, views: int, n: int, d: int, seed: int) -> list[Tensor]:
    """Return the views of a batch, each (n, d) in float64.

    Args:
        kind: One of `KINDS`.
        views: How many matrices.
        n: Rows.
        d: Columns.
        seed: Seed of the generator.

    Raises:
        ValueError: There is no such kind.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if kind == "gaussian":
        return [normal(n, d) for _ in range(views)]
    if kind == "collapsed":
        center = normal(d)
        center = center / center.norm() * (0.5 + 1.5 * abs(math.sin(seed + 1)))
        return [center.expand(n, d).clone() for _ in range(views)]
    if kind == "opposite":
        base = normal(n, d)
        return [base.clone() if i % 2 == 0 else -base for i in range(views)]
    makers = {
        "close": lambda: normal(n, d),
        "equal": lambda: normal(n, d),
        "near_collapsed": lambda: _unit(normal(1, d)) + 1e-3 * normal(n, d),
        "duplicated": lambda: normal((n + 1) // 2, d).repeat(2, 1)[:n],
        "rank_one": lambda: _away_from_zero(normal(n, 1)) * _away_from_zero(normal(1, d)),
        "orthonormal": lambda: _frame(normal(max(n, d), max(n, d)))[:n, :d],
        "one_hot": lambda: torch.eye(d, dtype=torch.float64)[torch.arange(n) % d],
        "offset": lambda: normal(n, d) + 1e3 * _unit(normal(1, d)),
        "tiny": lambda: 1e-3 * _away_from_zero(normal(n, d)),
        "huge": lambda: 1e3 * _away_from_zero(normal(n, d)),
        "simplex": lambda: _simplex(n, d),
    }
    if kind not in makers:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    base = makers[kind]()
    base = base if kind == "one_hot" else _away_from_zero_rows(base)
    noise = {"close": 0.1, "near_collapsed": 1e-3, "offset": 0.1, "tiny": 1e-4, "huge": 100.0}
    sigma = noise.get(kind, 0.0)
    return [base + sigma * normal(n, d) if sigma else base.clone() for _ in range(views)]


@dataclass(frozen=True)
class Case:
    """One batch of arguments, with the seed from which a law draws its transformations."""

    arguments: tuple[Tensor | float, ...]
    seed: int = 0
    kind: str = SMALL
    n: int = 0
    d: int = 0
    views: tuple[int, ...] = field(default=())
    """The places of the arguments that are views."""
    negatives: tuple[int, ...] = field(default=())
    """The places of those that are negatives, in the space of the views."""

    def generator(self) -> torch.Generator:
        """Return a fresh generator of this case."""
        return torch.Generator().manual_seed(self.seed)

    def replaced(self, views: Sequence[Tensor]) -> tuple[Tensor | float, ...]:
        """Return the arguments with other views in the places of the views."""
        arguments = list(self.arguments)
        for place, view in zip(self.views, views, strict=True):
            arguments[place] = view
        return tuple(arguments)

    def everywhere(self, change: Callable[[Tensor], Tensor]) -> tuple[Tensor | float, ...]:
        """Return the arguments with views and negatives changed alike: the whole space."""
        places = (*self.views, *self.negatives)
        return tuple(
            change(a) if i in places and isinstance(a, Tensor) else a
            for i, a in enumerate(self.arguments)
        )

    @property
    def matrices(self) -> list[Tensor]:
        """The views among the arguments."""
        return [a for i, a in enumerate(self.arguments) if i in self.views and not _plain(a)]  # pyright: ignore[reportReturnType]


def case(inputs: Sequence[Input], views: Sequence[Tensor], kind: str, seed: int) -> Case:
    """Return the case that these inputs make of these views, one for each or the first few."""
    generator = torch.Generator().manual_seed(seed + 1)
    arguments = [
        item.make(views[i] if i < len(views) else views[0], generator)
        for i, item in enumerate(inputs)
    ]
    places, negatives = (
        tuple(i for i, item in enumerate(inputs) if isinstance(item, sort))
        for sort in (View, Negatives)
    )
    n, d = views[0].shape
    return Case(tuple(arguments), seed, kind, int(n), int(d), places, negatives)


def fixed(inputs: Sequence[Input], kind: str, n: int, d: int, seed: int) -> Case:
    """Return the case of a kind, a size and a seed."""
    stated = next((item.dim for item in inputs if isinstance(item, View) and item.dim), None)
    views = matrices(kind, len(inputs), n, stated or d, seed)
    for i, item in enumerate(inputs):
        if isinstance(item, View) and item.dim and item.dim != views[i].shape[1]:
            views[i] = matrices(kind, 1, n, item.dim, seed + 7 * i + 1)[0]
    return case(inputs, views, kind, seed)


@st.composite
def cases(
    draw: Draw,
    inputs: Sequence[Input] = (View(), View()),
    *,
    kinds: Sequence[str] = (SMALL, *KINDS),
    least: int = 2,
    most: int = 24,
    least_dim: int = 1,
) -> Case:
    """Draw the arguments of a callable: views of one kind and what goes with them."""
    kind = draw(st.sampled_from(list(kinds)))
    stated = next((item.dim for item in inputs if isinstance(item, View) and item.dim), None)
    small = kind == SMALL
    n = draw(st.integers(least, max(least, 4 if small else most)))
    d = stated or draw(st.integers(least_dim, max(least_dim, 3 if small else most)))
    seed = draw(st.integers(0, 2**16))
    if not small:
        return fixed(inputs, kind, n, d, seed)
    views = [draw(arrays(n, item.dim or d if isinstance(item, View) else d)) for item in inputs]
    return case(inputs, views, kind, seed)


@st.composite
def arrays(draw: Draw, n: int, d: int) -> Tensor:
    """Draw an explicit matrix of simple numbers without a zero row; it shrinks by entry."""
    entries = draw(
        st.lists(st.sampled_from(_ENTRIES), min_size=n * d, max_size=n * d).map(torch.tensor)
    )
    return _away_from_zero_rows(entries.to(torch.float64).reshape(n, d))


def embeddings(
    n: int | SearchStrategy[int] | None = None,
    d: int | SearchStrategy[int] | None = None,
    kind: str | None = None,
) -> SearchStrategy[Tensor]:
    """Return a strategy of (n, d) matrices; what is None is drawn.

    Args:
        n: Rows; drawn from 2 to 64 if None.
        d: Columns; drawn from 1 to 64 if None.
        kind: "small" for explicit shrinkable entries (at most 4 x 4), or one of `KINDS`.
    """
    return pairs(n, d, kind, views=1).map(lambda views: views[0])


@st.composite
def pairs(
    draw: Draw,
    n: int | SearchStrategy[int] | None = None,
    d: int | SearchStrategy[int] | None = None,
    kind: str | None = None,
    *,
    views: int = 2,
) -> tuple[Tensor, ...]:
    """Draw views of one batch: tensors of one shape, float64."""
    chosen = draw(st.sampled_from((SMALL, *KINDS))) if kind is None else kind
    most = 4 if chosen == SMALL else 64
    rows = draw(st.integers(2, most)) if n is None else n if isinstance(n, int) else draw(n)
    columns = draw(st.integers(1, most)) if d is None else d if isinstance(d, int) else draw(d)
    if chosen == SMALL:
        return tuple(draw(arrays(rows, columns)) for _ in range(views))
    return tuple(matrices(chosen, views, rows, columns, draw(st.integers(0, 2**16))))


@st.composite
def configurations(
    draw: Draw, shape: tuple[int, ...] = (2,), n: int | SearchStrategy[int] | None = None
) -> Tensor:
    """Draw configurations (n, *shape), normal at a drawn scale from 0.1 to 3."""
    rows = draw(st.integers(1, 32)) if n is None else n if isinstance(n, int) else draw(n)
    generator = draw(generators())
    scale = draw(st.sampled_from((1.0, 0.1, 3.0)))
    return scale * torch.randn(rows, *shape, generator=generator, dtype=torch.float64)


@st.composite
def codes(draw: Draw, n: int, d: int, *, nonnegative: bool = False) -> Tensor:
    """Draw latent codes (n, d), about half of whose entries are exactly zero."""
    generator = draw(generators())
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    z = z * (torch.rand(n, d, generator=generator) < 0.5)
    return z.abs() if nonnegative else z


def temperatures(least: float = 0.05, most: float = 1.0) -> SearchStrategy[float]:
    """Return a strategy of temperatures."""
    checks.positive("least", least)
    return st.floats(least, most, allow_subnormal=False)


def generators() -> SearchStrategy[torch.Generator]:
    """Return a strategy of generators with drawn seeds."""
    return st.integers(0, 2**16).map(lambda seed: torch.Generator().manual_seed(seed))


def permutations(n: int) -> SearchStrategy[Tensor]:
    """Return a strategy of orders of n things; it shrinks to the identity."""
    return st.permutations(range(n)).map(torch.tensor)


def rotations(d: int) -> SearchStrategy[Tensor]:
    """Return a strategy of orthogonal (d, d) matrices."""
    return st.integers(0, 2**16).map(lambda seed: rotation(d, seed))


def permutation(n: int, seed: int) -> Tensor:
    """Return an order of n things; seed 0 exchanges the first two."""
    if seed == 0:
        return torch.tensor([1, 0, *range(2, n)][:n] if n > 1 else [0])
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def rotation(d: int, seed: int) -> Tensor:
    """Return an orthogonal (d, d) matrix; seed 0 turns the first plane by a 3-4-5 angle."""
    if d == 1:
        return -torch.ones(1, 1, dtype=torch.float64)
    if seed == 0:
        turn = torch.eye(d, dtype=torch.float64)
        turn[:2, :2] = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
        return turn
    generator = torch.Generator().manual_seed(seed)
    return _frame(torch.randn(d, d, generator=generator, dtype=torch.float64))


def _frame(matrix: Tensor) -> Tensor:
    q, r = torch.linalg.qr(matrix)
    return q * r.diagonal().sign()


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)


def _simplex(n: int, d: int) -> Tensor:
    """Return n unit vectors with one mutual angle, cut to d dimensions."""
    corners = torch.eye(n, dtype=torch.float64) - 1 / n
    basis = torch.linalg.svd(corners)[2][: max(1, n - 1)]
    points = _unit(corners) @ basis.T
    padded = torch.cat([points, torch.zeros(n, max(0, d - points.shape[1]))], dim=1)
    return padded[:, :d].contiguous()


def _away_from_zero(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 0.1, torch.where(x < 0, -0.1, 0.1).to(x.dtype), x)


def _away_from_zero_rows(x: Tensor) -> Tensor:
    zero = x.norm(dim=-1) < 1e-6
    if bool(zero.any()):
        x = x.clone()
        x[zero, 0] = 1.0
    return x


def _plain(value: object) -> bool:
    return not isinstance(value, Tensor)
