"""A density of pictures: a convolutional energy, trained by persistent chains, and tried.

The energy learns pictures with Gaussian noise of a known sigma added, so that the density is
smooth, at temperature 1: no hidden scale. Its chains are Langevin dynamics with a step of a
quarter of sigma^2, small against the curvature 1 / sigma^2 of the noise, kept in a buffer
whose chains grow old. Afterwards:

- chains of ten thousand steps from noised test pictures must stay at the energies of the
  test pictures; where training was by short chains alone they run away;
- uniform noise must have more energy than test pictures. Another set of pictures may have
  less: that is a finding, not a failure. All are noised alike.
- What a noised picture looks like without its noise is known from the score, by Tweedie's
  formula: E[clean | x] = x + sigma^2 score(x).
"""

import base64
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import toy_data
from ebm import energies, evaluation, score
from ebm.energy import Energy
from ebm.evaluation.grid import values
from ebm.evaluation.ood import ranked_above
from ebm.memory import Replay
from ebm.samplers import Langevin, chain
from ebm.training import fit
from methods import PersistentContrastiveDivergence

SETS = {
    "fashion-mnist": (toy_data.fashion_mnist, "mnist", toy_data.mnist),
    "mnist": (toy_data.mnist, "fashion-mnist", toy_data.fashion_mnist),
    "digits": (toy_data.digits, "digits upside down", None),
}
"""Training set, and the name and source of the foreign one."""
BINS = 400
SHOWN = 12


@dataclass(frozen=True)
class Budget:
    """Sizes of a run."""

    steps: int
    batch_size: int
    widths: tuple[int, ...]
    replay: int
    transitions: int
    """Steps of a chain in each step of training."""
    long: int
    """Steps of the long chains."""
    chains: int
    sigma: float = 0.2
    rate: float = 1e-3


PRESETS = {
    "quick": Budget(40, 32, (8, 16), 64, 5, 100, 8),
    "small": Budget(4_800, 100, (16, 32, 64), 300, 10, 10_000, 32),
    "large": Budget(60_000, 256, (64, 128, 256), 4_096, 20, 10_000, 512, sigma=0.1, rate=5e-4),
}


@dataclass(frozen=True)
class Row:
    """One trained energy, and what was found of it."""

    data: str
    foreign: str
    energy: str
    sampler: str
    sigma: float
    steps: int
    seconds: float
    """Processor time of the training; of its last part, if it was stopped and went on."""
    energy_gap: float
    """Mean of E(data) - E(chains) over the last tenth of the training."""
    auroc_noise: float
    """Chance that uniform noise has more energy than a test picture."""
    auroc_foreign: float
    """The same for the foreign pictures."""
    lowest: float
    """Least energy of the test pictures."""
    highest: float
    """Largest energy of the test pictures."""
    long_steps: int
    long_lowest: float
    """Least energy of all long chains at every hundredth of their way."""
    long_highest: float
    inside: float
    """Share of the records of the long chains at energies of test pictures."""
    r_hat: float
    """Split R-hat of the energies along the second half of the long chains."""
    energies: dict[str, list[float]] = field(default_factory=dict, repr=False)
    """Energies of each set, sorted, every so many."""
    pictures: dict[str, str] = field(default_factory=dict, repr=False)
    """Rows of pictures as bytes, packed."""
    shape: list[int] = field(default_factory=list, repr=False)
    """Shape of a row of pictures."""


def run(
    *,
    quick: bool = False,
    data: str | None = None,
    preset: str | None = None,
    done: Sequence[Row] = (),
    folder: Path | None = None,
) -> Iterator[Row]:
    """Yield the row of the one energy that is trained.

    Args:
        quick: A few steps on the digits, to see that everything works.
        data: Pictures: fashion-mnist, mnist or digits.
        preset: small, for two CPU cores and a quarter of an hour, or large, for a GPU.
        done: The row, if it was measured before.
        folder: Where the training keeps its checkpoints and goes on if it was stopped.

    Raises:
        ValueError: The data or the preset have no such name, or the data cannot be loaded.
    """
    data = (data or ("digits" if quick else "fashion-mnist")).replace("_", "-")
    preset = preset or ("quick" if quick else "small")
    for name, value, known in (("data", data, SETS), ("preset", preset, PRESETS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
    yield from done or [measured(data, PRESETS[preset], folder)]


def print_table(rows: Sequence[Row]) -> None:
    """Print what was found, a line each."""
    for row in rows:
        print(
            f"{row.data}, {row.energy}\n"
            f"chains            {row.sampler}, pictures noised by sigma {row.sigma:g}\n"
            f"training          {row.steps} steps, {row.seconds:.0f} s of processor time, "
            f"energy gap {row.energy_gap:.2f} at the end\n"
            f"test pictures     energies from {row.lowest:.1f} to {row.highest:.1f}\n"
            f"long chains       energies from {row.long_lowest:.1f} to {row.long_highest:.1f} "
            f"over {row.long_steps} steps, {100 * row.inside:.1f} % inside; "
            f"R-hat {row.r_hat:.2f}\n"
            f"AUROC             uniform noise {row.auroc_noise:.4f}, "
            f"{row.foreign} {row.auroc_foreign:.4f}"
        )


def build(budget: Budget, shape: torch.Size) -> PersistentContrastiveDivergence:
    """Return the method: a network on a wide Gaussian, and chains of its noise's scale."""
    channels, height, width = shape
    network = energies.Convolutional(channels, (height, width), widths=budget.widths)
    return PersistentContrastiveDivergence(
        network + energies.Quadratic(),
        Langevin(budget.sigma**2 / 4),
        steps=budget.transitions,
        replay=Replay(budget.replay, restart=0.002),
    )


def measured(data: str, budget: Budget, folder: Path | None) -> Row:
    """Train an energy and return what was found of it."""
    source, foreign_name, foreign_source = SETS[data]
    train, test = source("train").images, source("test").images
    foreign = test.flip(2) if foreign_source is None else foreign_source("test").images
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    method = build(budget, train.shape[1:])

    def noised(x: Tensor, *_: Tensor) -> tuple[Tensor]:
        return (x + budget.sigma * torch.randn_like(x),)

    def optimizer(method: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(method.parameters(), lr=budget.rate, betas=(0.5, 0.999))

    def decay(optimizer: torch.optim.Optimizer) -> Any:
        last = [budget.steps * 6 // 10, budget.steps * 8 // 10]
        return torch.optim.lr_scheduler.MultiStepLR(optimizer, last, gamma=0.3)

    start = time.process_time()
    history = fit(
        method,
        train,
        steps=budget.steps,
        batch_size=budget.batch_size,
        optimizer=optimizer,
        schedule=decay,
        views=noised,
        gradient_clip=1_000.0,
        seed=0,
        out=folder,
        resume=folder is not None,
        save_every=200,
    )
    seconds = time.process_time() - start
    method.to(device)
    energy = method.energy
    sets = {
        "test pictures": test,
        foreign_name: foreign,
        "uniform noise": torch.rand(test.shape, generator=torch.Generator().manual_seed(1)),
    }
    torch.manual_seed(2)
    examples = {name: noised(x)[0].to(device) for name, x in sets.items()}
    found = {name: values(energy, x).cpu() for name, x in examples.items()}
    familiar = found["test pictures"]
    starts = examples["test pictures"][: budget.chains]
    thin = max(1, budget.long // 100)
    long = chain(method.sampler, energy, starts, budget.long, thin=thin)
    visited = long.energies.double().cpu()
    found["long chains"] = visited[len(visited) // 2 :].flatten()
    low, high = float(familiar.min()), float(familiar.max())
    kept = method.replay.chains[: int(method.replay.filled)]
    pictures = _pictures(energy, budget.sigma, starts, long.x, kept)
    return Row(
        data,
        foreign_name,
        f"|x|^2 / 2 + Convolutional(widths={budget.widths})",
        f"{method.sampler}, {method.steps} steps, {method.replay}",
        budget.sigma,
        budget.steps,
        seconds,
        float(history["energy_gap"][-max(1, budget.steps // 10) :].mean()),
        ranked_above(found["uniform noise"], familiar),
        ranked_above(found[foreign_name], familiar),
        low,
        high,
        budget.long,
        float(visited.min()),
        float(visited.max()),
        float(((visited >= low) & (visited <= high)).double().mean()),
        evaluation.split_r_hat(visited[len(visited) // 2 :]),
        {name: _thinned(values) for name, values in found.items()},
        {name: _packed(x) for name, x in pictures.items()},
        list(next(iter(pictures.values())).shape),
    )


def _pictures(
    energy: Energy, sigma: float, starts: Tensor, ends: Tensor, kept: Tensor
) -> dict[str, Tensor]:
    """Return rows of pictures, those without noise by Tweedie's formula."""
    rows, count = {}, min(SHOWN, len(starts), len(kept))
    for name, x in (("test pictures", starts), ("long chains", ends), ("chains of training", kept)):
        x = x[:count].cpu()
        rows[f"{name}, noised"] = x
        rows[f"{name}, their noise removed"] = x + sigma**2 * score(energy.cpu(), x)
    return rows


def draw(rows: Sequence[Row]) -> Any:
    """Return a figure of the energies of all sets and of the pictures."""
    from matplotlib.figure import Figure

    from ebm.landscape import EnergyHistograms, mosaic

    row = rows[0]
    figure = Figure(figsize=(9.0, 9.0), layout="constrained")
    top, *others = figure.subplots(
        1 + len(row.pictures), 1, height_ratios=[3.2, *[1.0] * len(row.pictures)]
    )
    histograms = {name: np.asarray(values) for name, values in row.energies.items()}
    EnergyHistograms(histograms, 0).draw_on(top)
    for ax, (name, packed) in zip(others, row.pictures.items(), strict=True):
        mosaic.draw(ax, unpacked(packed, row.shape)[None, :, 0], limits=(0.0, 1.0))
        ax.set_title(name, fontsize=8, loc="left")
    return figure


def _thinned(values: Tensor) -> list[float]:
    ordered = values.sort().values
    places = torch.linspace(0, len(ordered) - 1, min(BINS, len(ordered))).round().long()
    return [round(v, 3) for v in ordered[places].tolist()]


def _packed(x: Tensor) -> str:
    levels = (x.clamp(0, 1) * 255).round().byte().numpy()
    return base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode()


def unpacked(packed: str, shape: Sequence[int]) -> NDArray[np.float64]:
    """Return a row of pictures between 0 and 1, (n, channels, height, width)."""
    levels = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return levels.reshape(tuple(shape)) / 255
