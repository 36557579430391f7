"""Train the tour's methods and picture what each has learned."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ebm
import toy_data
from ebm import recipe
from ebm.method import Method
from ebm.tour import page
from ebm.training import History


@dataclass(frozen=True)
class Stop:
    """One method of the tour and the steps that it gets on each set."""

    method: str
    points: int
    digits: int
    fashion: int

    def steps(self, data: str) -> int:
        """Return the steps on the set of this name."""
        return {"two-moons": self.points, "digits": self.digits}.get(data, self.fashion)


STOPS = (
    Stop("contrastive-divergence", points=1_000, digits=300, fashion=200),
    Stop("denoising-score-matching", points=2_000, digits=600, fashion=500),
    Stop("adversarial", points=2_000, digits=800, fashion=600),
    Stop("simclr", points=500, digits=150, fashion=110),
    Stop("swav", points=300, digits=250, fashion=120),
    Stop("byol", points=300, digits=250, fashion=120),
    Stop("vicreg", points=500, digits=150, fashion=110),
    Stop("k-means", points=300, digits=30, fashion=30),
    Stop("autoencoder", points=1_500, digits=600, fashion=500),
)
SEED = 0


@dataclass(frozen=True)
class Set:
    """A data set of the tour: what is trained on, and labels to probe with, if any."""

    name: str
    title: str
    train: Tensor
    test: Tensor
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None


def run(out: Path, *, quick: bool = False) -> Path:
    """Train every stop on every set and return the page."""
    from tqdm import tqdm

    started = time.perf_counter()
    sets = data_sets()
    rounds = [(stop, data) for stop in STOPS for data in sets]
    chapters: dict[str, page.Chapter] = {}
    bar = tqdm(rounds, desc="tour", unit="stop", position=0)
    for stop, data in bar:
        kind = recipe.find(stop.method)
        bar.set_postfix_str(f"{stop.method} on {data.name}")
        if stop.method not in chapters:
            name, family = kind.__name__, recipe.family_of(kind)
            line = (kind.__doc__ or "").strip().split("\n")[0]
            chapters[stop.method] = page.Chapter(name, family, line, recipe.paper_of(kind))
        chapters[stop.method].visits.append(visit(kind, stop, data, quick=quick))
    bar.close()
    return page.write(out, list(chapters.values()), time.perf_counter() - started)


def data_sets() -> list[Set]:
    """Return the sets of the tour: points, digits, and Fashion-MNIST where it is."""
    generator = torch.Generator().manual_seed(SEED)
    points = toy_data.two_moons(10_000, generator=generator)
    sets = [Set("two-moons", "two moons", points, points)]
    sets.append(_images("digits", "handwritten digits, 8 x 8", toy_data.digits, 1_500, 400))
    if (toy_data.data_folder() / "FashionMNIST" / "raw").is_dir():  # nothing is downloaded
        fashion = ("fashion-mnist", "Fashion-MNIST, 28 x 28", toy_data.fashion_mnist)
        sets.append(_images(*fashion, 10_000, 2_000))
    return sets


def visit(kind: type[Method], stop: Stop, data: Set, *, quick: bool) -> page.Visit:
    """Train a method on a set and return its pictures and numbers."""
    started = time.perf_counter()
    inputs, views = kind.example_inputs(data.train)
    torch.manual_seed(SEED)
    method = kind.example(data.train)
    before = accuracy(method, data)
    steps = stop.steps(data.name)
    steps = max(20, steps // 10) if quick else steps
    history = ebm.fit(method, inputs, steps=steps, views=views, seed=SEED)
    numbers = {}
    if data.train_labels is not None:
        numbers["raw pixels"] = knn(data.train, data.test, data)
        if before is not None:
            numbers["untrained encoder"] = before
            numbers["trained encoder"] = accuracy(method, data)
    surface, words = surface_of(method, data)
    return page.Visit(
        title=data.title,
        steps=history.steps[-1],
        seconds=time.perf_counter() - started,
        surface=page.encoded(surface),
        surface_words=words,
        curve=page.encoded(curve_of(history)),
        accuracies=numbers,
    )


def surface_of(method: Method, data: Set) -> tuple[Any, str]:
    """Return a figure of the learned surface with the data on it, and what it shows."""
    energy, x = ebm.as_energy(method.energy), data.train
    corners = _three(data) if x.ndim == 4 else ()
    words = "E(x)"
    pair = ebm.energy.inputs(energy) > 1
    if pair:
        anchor = corners[0][None] if corners else x[:1]
        energy, words = energy.given(anchor), "E(x, y), y the first image"
    if corners:
        landscape = ebm.landscape.plane(energy, *corners, resolution=40, data=x[:300])
        return ebm.landscape.draw(landscape).figure, f"{words}, on the plane through three images"
    landscape = ebm.landscape.grid(energy, resolution=120, data=x[:2_000])
    ax = ebm.landscape.draw(landscape, data=x[:800])
    if pair:
        words = "E(x, y), y the star"
        star = {"marker": "*", "s": 260, "color": "white", "edgecolors": "black", "zorder": 4}
        ax.scatter(*x[0].tolist(), **star)
    return ax.figure, f"{words}; dark is low, orange are the data"


def curve_of(history: History) -> Any:
    """Return a figure of the training curve by named term."""
    return history.draw().figure


def accuracy(method: Method, data: Set) -> float | None:
    """Return the k-NN accuracy of the method's encoder, or None where there is none."""
    if not hasattr(method, "encode") or data.train_labels is None:
        return None
    with ebm.energy.evaluating(method), torch.no_grad():
        encoded = [
            torch.cat([method.encode(x) for x in images.split(1_000)])  # pyright: ignore[reportCallIssue]
            for images in (data.train, data.test)
        ]
    return knn(encoded[0], encoded[1], data)


def knn(train: Tensor, test: Tensor, data: Set) -> float:
    """Return the k-NN accuracy of features of the set's images."""
    labels: Any = data.train_labels
    return ebm.evaluation.knn_accuracy(train, labels, test, data.test_labels, k=20)  # pyright: ignore[reportArgumentType]


def _images(name: str, title: str, load: Any, train: int, test: int) -> Set:
    kept = load(split="train")
    held = load(split="test")
    return Set(name, title, kept[0][:train], held[0][:test], kept[1][:train], held[1][:test])


def _three(data: Set) -> tuple[Tensor, Tensor, Tensor]:
    """Return three images of different classes."""
    labels: Any = data.train_labels
    first = [int((labels == label).nonzero()[0]) for label in labels.unique()[:3]]
    return data.train[first[0]], data.train[first[1]], data.train[first[2]]
