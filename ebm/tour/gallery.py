"""The gallery: what every method makes of the same two moons, one small picture each."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ebm
import toy_data
from ebm import landscape, recipe
from ebm.landscape import canvas, heatmap, palette
from ebm.method import Method

SEED = 0
BOUNDS = ((-3.0, 3.0), (-2.6, 2.6))
STEPS = 400
MORE = {
    "adversarial": 2_000,
    "autoencoder": 1_500,
    "contractive-autoencoder": 1_500,
    "denoising-autoencoder": 1_500,
    "denoising-score-matching": 1_500,
    "score-matching": 1_000,
    "sliced-score-matching": 1_000,
    "flow-contrastive-estimation": 1_000,
}
"""Steps of the methods that need more than `STEPS` to show what they do."""

ANCHOR = {"marker": "*", "s": 90, "color": "white", "edgecolors": "black", "zorder": 4}


@dataclass(frozen=True)
class Card:
    """One picture of the gallery."""

    method: str
    name: str
    family: str
    line: str
    """What the method does, in one sentence."""
    steps: int
    pair: bool
    """Whether the energy is one of pairs, drawn from a first point, the star."""


def run(out: Path, *, quick: bool = False) -> Path:
    """Train every method that takes points, draw its energy, and return the list of pictures."""
    from tqdm import tqdm

    generator = torch.Generator().manual_seed(SEED)
    data = toy_data.two_moons(4_000, generator=generator)
    out.mkdir(parents=True, exist_ok=True)
    cards = list(_cards(tqdm(sorted(recipe.all_methods().items())), data, out, quick=quick))
    path = out / "gallery.json"
    path.write_text(json.dumps([asdict(card) for card in cards], indent=1) + "\n")
    return path


def _cards(methods: Any, data: Tensor, out: Path, *, quick: bool) -> Iterator[Card]:
    for name, kind in methods:
        methods.set_postfix_str(name)
        steps = 20 if quick else MORE.get(name, STEPS)
        try:
            inputs, views = kind.example_inputs(data)
            torch.manual_seed(SEED)
            method = kind.example(data)
            history = ebm.fit(method, inputs, steps=steps, views=views, seed=SEED, progress=False)
            figure = picture(method, data)
        except (ValueError, TypeError):
            continue  # a method of images, of tokens or of binary data
        figure.savefig(out / f"{name}.png", dpi=120, pil_kwargs={"optimize": True})
        pair = ebm.energy.inputs(method.energy) > 1
        line = (kind.__doc__ or "").strip().split("\n")[0]
        family = recipe.family_of(kind)
        yield Card(name, kind.__name__, family, line, history.steps[-1], pair)


def picture(method: Method, data: Tensor) -> Any:
    """Return a small figure of a method's energy with some of the data on it."""
    from matplotlib.figure import Figure

    energy = ebm.as_energy(method.energy)
    pair = ebm.energy.inputs(energy) > 1
    given = (data[:1],) * (ebm.energy.inputs(energy) - 1)
    view = landscape.grid(energy, BOUNDS, 120, data=data, given=given)
    figure = Figure(figsize=(2.4, 2.08))
    ax = figure.add_axes((0, 0, 1, 1))
    heatmap.energies(ax, view.x, view.y, view.values, view.low, view.high)
    dots = {"s": 3.5, "c": palette.DATA, "edgecolors": palette.EDGE, "linewidths": 0.2}
    ax.scatter(*data[:250].T.numpy(), zorder=3, **dots)
    if pair:
        ax.scatter(*data[0].tolist(), **ANCHOR)
    ax.set_xlim(*BOUNDS[0])
    ax.set_ylim(*BOUNDS[1])
    canvas.blank(ax)
    return figure
