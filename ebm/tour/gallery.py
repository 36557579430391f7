"""The gallery: what every method makes of the same two moons, one small picture each."""

import io
import json
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
from ebm.training.atomic import atomically

SEED = 0
BOUNDS = ((-3.0, 3.0), (-2.6, 2.6))
STEPS = 300
MORE = {
    "adversarial": 2_000,
    "autoencoder": 1_500,
    "contractive-autoencoder": 1_500,
    "denoising-autoencoder": 800,
    "denoising-score-matching": 1_000,
    "score-matching": 600,
    "sliced-score-matching": 600,
    "flow-contrastive-estimation": 600,
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
    """Train every method that takes points, draw its energy, and return the list of pictures.

    Each picture is kept as soon as it is drawn; those that are there are not made again.
    """
    from tqdm import tqdm

    data = toy_data.two_moons(4_000, generator=torch.Generator().manual_seed(SEED))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "gallery.json"
    cards = json.loads(path.read_text()) if path.exists() else []
    there = {card["method"] for card in cards if (out / f"{card['method']}.png").exists()}
    bar = tqdm(sorted(recipe.all_methods().items()))
    for name, kind in bar:
        bar.set_postfix_str(name)
        card = None if name in there else _card(name, kind, data, out, quick=quick)
        if card is not None:
            cards = [other for other in cards if other["method"] != name] + [asdict(card)]
            cards.sort(key=lambda other: other["method"])
            atomically(path, lambda part, now=cards: part.write_text(json.dumps(now, indent=1)))
    return path


def _card(name: str, kind: type[Method], data: Tensor, out: Path, *, quick: bool) -> Card | None:
    """Train a method, write its picture, and return its card; None if it takes other data."""
    steps = 20 if quick else MORE.get(name, STEPS)
    try:
        inputs, views = kind.example_inputs(data)
        if not torch.equal(recipe.first_tensor(inputs), data):
            return None  # points are no data for it: it has made binary ones of them
        torch.manual_seed(SEED)
        method = kind.example(data)
        history = ebm.fit(method, inputs, steps=steps, views=views, seed=SEED, progress=False)
        figure = picture(method, data)
    except (ValueError, TypeError):
        return None  # a method of images or of tokens
    save(figure, out / f"{name}.png")
    pair = ebm.energy.inputs(method.energy) > 1
    line = (kind.__doc__ or "").strip().split("\n")[0]
    return Card(name, kind.__name__, recipe.family_of(kind), line, history.steps[-1], pair)


def save(figure: Any, path: Path) -> None:
    """Write a figure as a small PNG, in 128 colors."""
    from PIL import Image

    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=120)
    with Image.open(whole) as image:
        image.convert("RGB").quantize(128).save(path, optimize=True)


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
