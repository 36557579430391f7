"""Where a loss drives embeddings that no architecture holds back.

Free embeddings descend under the loss from many starts, some of them nearly collapsed. Does
the loss prevent collapse, or only the architecture around it?
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm import checks
from ebm.testing.inputs import View
from ebm.testing.subject import Refused, Subject, quiet
from ebm.traits import Trait

STARTS = ("gaussian", "close", "near_collapsed", "near_collapsed", "rank_one", "duplicated")


@dataclass(frozen=True)
class Descent:
    """Where one start ended."""

    start: str
    end: str
    """"constant", "rank-deficient", "clustered", "spread", "diverged" or "refused"."""
    rankme: float
    before: float
    """The loss at the start."""
    loss: float
    """The loss at the end."""


@dataclass(frozen=True)
class Collapse:
    """Where free embeddings end under a loss, and what that says about it."""

    descents: tuple[Descent, ...]
    n: int
    d: int
    collapsed_loss: float
    """The loss of a batch whose rows are all equal."""

    @property
    def prevented(self) -> bool:
        """Whether no start, however close to collapse, ends in one point."""
        ends = [descent.end for descent in self.descents if descent.end != "refused"]
        return bool(ends) and all(end not in {"constant", "diverged"} for end in ends)

    @property
    def best(self) -> Descent:
        """The descent that ends lowest."""
        finite = [descent for descent in self.descents if math.isfinite(descent.loss)]
        return min(finite or self.descents, key=lambda descent: descent.loss)

    @property
    def kind(self) -> str:
        """What the lowest end looks like."""
        return self.best.end

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain numbers and strings."""
        return {
            "kind": self.kind,
            "prevented": self.prevented,
            "rankme": self.best.rankme,
            "loss": self.best.loss if math.isfinite(self.best.loss) else None,
            "collapsed_loss": self.collapsed_loss if math.isfinite(self.collapsed_loss) else None,
            "ends": [descent.end for descent in self.descents],
        }

    def __str__(self) -> str:
        """Return one sentence."""
        ends = [descent.end for descent in self.descents]
        counts = ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends))
        if all(end == "refused" for end in ends):
            return "the loss refuses free embeddings"
        if self.prevented:
            words = "the loss prevents collapse"
        elif all(end in {"constant", "refused"} for end in ends):
            words = "the loss drives each view into a single point"
        elif "diverged" in ends and "constant" not in ends:
            words = "the loss has no minimum: embeddings grow without bound"
        else:
            words = (
                "the loss does not prevent collapse: what starts nearly collapsed stays so, and "
                "only the architecture around it can help"
            )
        best = self.best
        return (
            f"{words} ({len(ends)} starts of {self.n} x {self.d}: {counts}; lowest loss "
            f"{best.loss:.4g} with RankMe {best.rankme:.2f}; all rows equal "
            f"{self.collapsed_loss:.4g})"
        )


def find_collapse(
    loss: Any,
    *,
    n: int = 16,
    d: int = 4,
    steps: int = 300,
    traits: Sequence[Trait] = (),
    seed: int = 0,
) -> Collapse:
    """Return where free embeddings end under a loss, from several starts.

    Args:
        loss: A function of views, or a `Subject`.
        n: Rows of each view.
        d: Dimensions.
        steps: Steps of Adam, in float64, for each start.
        traits: Facts about the loss, such as `Views(3)`.
        seed: Seed of the starts.

    Raises:
        ValueError: The loss takes no views.
    """
    checks.count("n", n, least=4)
    checks.count("steps", steps)
    subject = loss if isinstance(loss, Subject) else Subject(loss, traits=traits)
    views = [item for item in subject.inputs if isinstance(item, View)]
    if not views:
        raise ValueError(
            f"loss must take embeddings (n, d), got {subject.name} of other inputs. "
            "Bind them with functools.partial."
        )
    d = views[0].dim or d
    with quiet():
        descents = tuple(
            _descend(subject, kind, n, d, steps, seed + i) for i, kind in enumerate(STARTS)
        )
        case = subject.case("collapsed", n, d, seed)
        try:
            collapsed = float(subject.loss(case.arguments).detach())
        except Refused:
            collapsed = math.nan
    return Collapse(descents, n, d, collapsed)


def _descend(subject: Subject, kind: str, n: int, d: int, steps: int, seed: int) -> Descent:
    case = subject.case(kind, n, d, seed)
    leaves = [m.clone().requires_grad_() for m in case.matrices]
    optimizer = torch.optim.Adam(leaves, lr=0.05)
    before = last = math.nan
    try:
        for step in range(steps):
            if step == steps * 3 // 5:
                optimizer.param_groups[0]["lr"] = 0.01
            optimizer.zero_grad()
            loss = subject.loss(case.replaced(leaves))
            last = float(loss.detach())
            before = last if step == 0 else before
            if not math.isfinite(last) or not loss.requires_grad:
                break
            loss.backward()
            optimizer.step()
    except (Refused, RuntimeError):  # also what a backward raises
        return Descent(kind, "refused", math.nan, before, last)
    z = leaves[0].detach()
    end = classify(z, start=case.matrices[0])
    return Descent(kind, end if math.isfinite(last) else "diverged", rankme(z), before, last)


def classify(z: Tensor, start: Tensor | None = None) -> str:
    """Return what a batch of embeddings looks like, in one word."""
    checks.embeddings(z, least=2)
    if not bool(z.isfinite().all()):
        return "diverged"
    size = float(z.norm(dim=1).mean())
    if start is not None and size > 4 * float(start.norm(dim=1).mean()) + 15.0:
        return "diverged"
    unit = z / z.norm(dim=1, keepdim=True).clamp(min=1e-12)
    center = float((unit - unit.mean(dim=0)).norm(dim=1).mean())
    if min(center, _relative_spread(z)) < 0.02 or size < 1e-3:
        return "constant"
    centered = z - z.mean(dim=0)
    values = torch.linalg.svdvals(centered)
    rank = int((values > 0.02 * values[0]).sum())
    distances = torch.cdist(z, z) + torch.eye(len(z), dtype=z.dtype) * 1e9
    crowded = int((distances.min(dim=1).values < 0.02 * float(values[0]) / len(z) ** 0.5).sum())
    if crowded >= len(z) / 2:
        return "clustered"
    return "rank-deficient" if rank < min(len(z) - 1, z.shape[1]) else "spread"


def rankme(z: Tensor) -> float:
    """Return exp of the entropy of the normalized singular values, uncentered."""
    if not bool(z.isfinite().all()):
        return math.nan
    values = torch.linalg.svdvals(z)
    p = values / values.sum().clamp(min=1e-300) + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


def _relative_spread(z: Tensor) -> float:
    return float((z - z.mean(dim=0)).norm(dim=1).mean() / z.norm(dim=1).mean().clamp(min=1e-12))
