"""Coordinate descent for sparse codes.

One coordinate at a time, in compiled loops, where numba is installed and the data are on a
processor. Elsewhere block by block, finished exactly on the support. Atoms
are dealt into blocks so that similar ones fall apart: the curvature of a block is then a
fraction of the whole dictionary's, and so much longer are its proximal steps. Once few
entries are left, the minimum over a support is a small linear system for each example, which
takes the code to the bottom at once when the support is right. Nothing raises the energy.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softshrink

from ebm import checks
from ebm.latent.inference import Inference, Inferred, starting
from ebm.terms.precision import full_precision

CACHE_BYTES = 2**19
DEVICE_BYTES = 2**26
GROUPS = 4
SLACK = 31 / 32
"""Share of the tolerance that the loops aim at: a gap that is computed anew is rounded anew."""


@dataclass(frozen=True, eq=False)
class CoordinateDescent(Inference):
    """Sweeps over the atoms until the duality gap closes.

    The energy is a `SparseCode`, or offers its `atoms`, `sparsity_weight` and `gap`. On a
    processor numba's compiled loops are several times faster than blocks: `pip install
    ebm-framework[fast]`. They compile once, for seconds, and are remembered on the disk.

    Args:
        rounds: The most rounds; each is a few sweeps and a step to the support's minimum.
        first: Sweeps of the first round, which finds the supports.
        again: Sweeps of each later round.
        block: Atoms in a block.
        tolerance: Gap, in units of |x|^2, at which an example has converged.
        start: Rule that finds where iterations begin; zeros if None.
        compile: Whether compiled loops go first, and blocks close what they left; None for
            wherever numba is.

    Reference: Friedman, Hastie & Tibshirani, "Regularization paths for generalized linear
    models via coordinate descent", Journal of Statistical Software 33(1), 2010; Tseng & Yun,
    "A coordinate gradient descent method for nonsmooth separable minimization", Mathematical
    Programming 117, 2009 (blocks); Lee, Battle, Raina & Ng, "Efficient sparse coding
    algorithms", NIPS 2006 (the exact step on the support).
    """

    rounds: int = 100
    first: int = 30
    again: int = 5
    block: int = 16
    tolerance: float = 1e-4
    start: Inference | None = None
    compile: bool | None = None

    def __post_init__(self) -> None:
        for name in ("rounds", "first", "again", "block"):
            checks.count(name, getattr(self, name))
        checks.not_negative("tolerance", self.tolerance)

    @full_precision
    def solve(self, energy: Any, x: Tensor, z: Tensor | None = None) -> Inferred:
        """Return the codes with their gaps; autocast does not reach them.

        Raises:
            TypeError: The energy is no sparse code.
        """
        for name in ("atoms", "sparsity_weight", "gap"):
            if not hasattr(energy, name):
                raise TypeError(
                    f"energy must offer {name} for coordinate descent, got "
                    f"{type(energy).__name__}. Use ProximalDescent or Descent."
                )
        z, x = starting(energy, self.start, x, z), x.detach()
        chunk = CACHE_BYTES if z.device.type == "cpu" else DEVICE_BYTES
        count = max(1, chunk // max(1, z[:1].nbytes))
        with torch.no_grad():
            z = self._loops(energy, x, z)
            gap, most = energy.gap(x, z), self.tolerance * x.square().sum(1)
            left = (gap > most).nonzero()[:, 0]
            if len(left):
                weight = float(energy.sparsity_weight)
                problem = _Problem(energy.atoms.detach(), weight, self.block)
                for rows in left.split(count):
                    z[rows] = self._solve(energy, problem, x[rows], z[rows])
                gap = energy.gap(x, z)
            values = energy(x, z)
        return Inferred(z, values, gap <= most, gap)

    def _loops(self, energy: Any, x: Tensor, z: Tensor) -> Tensor:
        """Return a copy of the codes, where compiled loops left them."""
        loops = {x.dtype, z.dtype, energy.atoms.dtype} in ({torch.float32}, {torch.float64})
        if self.compile is False or z.device.type != "cpu" or not loops:
            return z.clone()
        try:
            from ebm.latent import coordinate_loops
        except ImportError:
            if self.compile:
                warnings.warn(
                    "compile must have numba to compile with, got none; blocks are swept "
                    "instead. pip install ebm-framework[fast]",
                    stacklevel=4,
                )
            return z.clone()
        # Ten of their rounds cost less than one of blocks.
        weight, most = float(energy.sparsity_weight), (10 * self.rounds, self.first)
        tolerance = SLACK * self.tolerance
        return coordinate_loops.solve(x, energy.atoms.detach(), weight, tolerance, *most, z)

    def _solve(self, energy: Any, problem: "_Problem", x: Tensor, z: Tensor) -> Tensor:
        found, rows, size = z.clone(), torch.arange(len(x), device=x.device), x.square().sum(1)
        for number in range(self.rounds):
            z = problem.sweeps(x, z, self.again if number else self.first)
            z = problem.on_support(x, z)
            found[rows] = z
            going = energy.gap(x, z) > self.tolerance * size
            if not bool(going.any()):
                break
            rows, x, z, size = rows[going], x[going], z[going], size[going]
        return found


class _Problem:
    """A dictionary, dealt into blocks."""

    def __init__(self, atoms: Tensor, weight: float, block: int) -> None:
        self.atoms, self.weight, self.gram = atoms, weight, atoms @ atoms.T
        count = -(-len(atoms) // block)
        # Atoms alike along the dominant direction are neighbors here, and go to other blocks.
        dominant = torch.linalg.eigh(atoms.T @ atoms).eigenvectors[:, -1]
        order = (atoms @ dominant).abs().argsort(descending=True)
        self.order = torch.cat([order[number::count] for number in range(count)])
        self.sizes = [len(order[number::count]) for number in range(count)]
        self.blocks = list(atoms[self.order].split(self.sizes))
        curvatures = [
            torch.linalg.matrix_norm(part, 2).square() * (1 + 1e-6) for part in self.blocks
        ]
        curvatures = torch.stack(curvatures).clamp(min=torch.finfo(atoms.dtype).tiny)
        self.down = [(p / c).T.contiguous() for p, c in zip(self.blocks, curvatures, strict=True)]
        self.thresholds = (weight / curvatures).tolist()

    def sweeps(self, x: Tensor, z: Tensor, count: int) -> Tensor:
        """Return the codes after some sweeps over all blocks."""
        residual = x - z @ self.atoms
        parts = [part.contiguous() for part in z[:, self.order].split(self.sizes, 1)]
        for _ in range(count):
            for i, (block, down) in enumerate(zip(self.blocks, self.down, strict=True)):
                new = softshrink(torch.addmm(parts[i], residual, down), self.thresholds[i])
                residual.addmm_(new - parts[i], block, alpha=-1)
                parts[i] = new
        swept = torch.empty_like(z)
        swept[:, self.order] = torch.cat(parts, 1)
        return swept

    def on_support(self, x: Tensor, z: Tensor) -> Tensor:
        """Return codes of no higher energy: the minimum over the support and its signs.

        Where the way there crosses zero, either the entries that change sign are dropped, or
        the code stops at the first zero, whichever is lower.
        """
        counts = (z != 0).sum(1)
        # Larger supports have no unique minimum. Those of one size together: less padding.
        fits = ((counts > 0) & (counts <= self.atoms.shape[1])).nonzero()[:, 0]
        out = z.clone()
        for place in fits[counts[fits].argsort()].tensor_split(GROUPS):
            if len(place):
                width = int(counts[place].max())
                out[place] = self._on_support(x[place], z[place], width)
        return out

    def _on_support(self, x: Tensor, z: Tensor, width: int) -> Tensor:
        support = z.abs().topk(width, dim=1).indices
        old = z.gather(1, support)
        used = old != 0
        kept = used.to(z.dtype)
        part = self.gram[support[:, :, None], support[:, None, :]]
        part.mul_(kept[:, :, None]).mul_(kept[:, None])
        part.diagonal(dim1=1, dim2=2).add_(1 - kept)  # unused entries stay at zero
        push = (x @ self.atoms.T).gather(1, support) - self.weight * old.sign()
        factor, failed = torch.linalg.cholesky_ex(part)
        best = torch.cholesky_solve((push * kept)[:, :, None], factor).squeeze(2)
        sound = ((failed == 0) & best.isfinite().all(1))[:, None]
        best = torch.where(sound, best, old)
        crosses = best * old < 0
        way = torch.where(crosses, old / (old - best), 1.0)
        length = way.amin(1, keepdim=True)
        stopped = torch.where(crosses & (way == length), 0.0, old + length * (best - old))
        choices = [
            torch.zeros_like(z).scatter_(1, support, values)
            for values in (old, stopped, best.masked_fill(crosses, 0.0))
        ]
        energies = torch.stack([self._energy(x, choice) for choice in choices])
        lowest = energies.argmin(0)[:, None]
        return torch.where(lowest == 2, choices[2], torch.where(lowest == 1, choices[1], z))

    def _energy(self, x: Tensor, z: Tensor) -> Tensor:
        return (x - z @ self.atoms).square().sum(1) / 2 + self.weight * z.abs().sum(1)
