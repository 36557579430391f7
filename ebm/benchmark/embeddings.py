"""Joint-embedding methods beside one another: one encoder, one budget, the same views.

Every method trains the same small convolutional net for the same number of steps on the
same pictures without their labels. What its representation is then worth is told by the
labels: k-NN (k = 200, temperature 0.1) and linear accuracy on the test pictures, both from
the training pictures of the budget, at the last epoch. Beside them stand the pixels
themselves, the net before training, and the net trained with labels.

The views are two crops of 0.3 to 1 of the area, mirrored half of the time where that makes
sense, with brightness and contrast changed by up to 0.4. SwAV gets two small crops
besides, PIRL the jigsaw of four patches, and methods that see one view a step get one.

Seconds per step are those of the whole run, sweeps over the data included. The memory is
the peak of one step's forward and backward pass as torch's allocator counts it, beside data,
network and optimizer.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import methods
import toy_data
from ebm import Method, checks, evaluation, fit, networks, views
from ebm.benchmark.memory import peak
from ebm.energy import evaluating
from ebm.shapes import Embeddings, Energies, Labels
from toy_data.images import Images


@dataclass(frozen=True)
class Row:
    """One method, trained once."""

    method: str
    seed: int
    knn: float
    """Accuracy of the k nearest neighbors, a share."""
    linear: float
    """Accuracy of the linear probe, a share."""
    rank: float
    """RankMe of the representation of the test pictures."""
    steps: int
    """0 where nothing is trained, and the two columns that follow are 0 too."""
    seconds: float
    """For one step."""
    megabytes: float
    """Peak of one step."""


Views = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Budget:
    """What every method gets."""

    examples: int
    """Training pictures, the first of the set."""
    steps: int
    batch_size: int
    encoder: Callable[[int], nn.Module]
    """Makes the net from the number of channels."""


@dataclass(frozen=True)
class Task:
    """A method, built by its `example`, with what it needs in a short run."""

    kind: type[Method]
    hyper: dict[str, Any] = field(default_factory=dict)
    views: Callable[[nn.Sequential, int], Views] = lambda view, size: views.Pair(view)
    """Makes the views of a batch from the common one and the side of the pictures."""
    learning_rate: float = 1e-3
    """Of Adam."""


class Supervised(Method):
    """The same net, trained with the labels: what the others are measured by."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    @classmethod
    def example(cls, data: tuple[Tensor, ...], *, encoder: nn.Module) -> "Supervised":
        """Return an instance with a linear head for the classes of the data."""
        classes = int(data[1].max()) + 1
        return cls(encoder, nn.Linear(networks.features_of(encoder), classes))

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def energy(self, x: Tensor, labels: Labels) -> Energies:
        """Return the cross-entropy of each picture and its label."""
        return functional.cross_entropy(self.head(self.encoder(x)), labels, reduction="none")

    def terms(self, x: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Return the cross-entropy."""
        return {"cross_entropy": self.energy(x, labels)}


def _single(view: nn.Sequential, size: int) -> Views:
    return views.Single(view)


def _with_patches(view: nn.Sequential, size: int) -> Views:
    return views.Pair(view, views.Jigsaw(2))


def _with_crops(view: nn.Sequential, size: int) -> Views:
    small = nn.Sequential(views.ResizedCrop(size // 2, scale=(0.1, 0.3)), *list(view)[1:])
    return views.MultiCrop((view, 2), (small, 2))


TASKS = {
    "SimCLR": Task(methods.SimCLR),
    "DCL": Task(methods.DCL),
    "MoCo": Task(methods.MoCo),
    "MoCoV3": Task(methods.MoCoV3, {"momentum": 0.95}, learning_rate=3e-3),
    "InstanceDiscrimination": Task(
        methods.InstanceDiscrimination, {"negatives": 512, "temperature": 0.4}, _single
    ),
    "PIRL": Task(methods.PIRL, {"temperature": 0.2}, _with_patches),
    "BarlowTwins": Task(methods.BarlowTwins),
    "VICReg": Task(methods.VICReg),
    "WMSE": Task(methods.WMSE, learning_rate=3e-3),
    "TiCo": Task(methods.TiCo),
    "BYOL": Task(methods.BYOL),
    "SimSiam": Task(methods.SimSiam),
    "DINO": Task(methods.DINO, {"momentum": 0.95}),
    "SwAV": Task(methods.SwAV, views=_with_crops),
    "DeepCluster": Task(methods.DeepCluster),
    "SeLA": Task(methods.SeLA, {"heads": 10, "labels": 64}, _single, learning_rate=3e-3),
    "supervised": Task(Supervised, views=_single),
}
PIXELS, UNTRAINED = "raw pixels", "untrained"

PRESETS = {
    "quick": Budget(1_437, 15, 128, lambda channels: networks.ConvNet(channels, 32, widths=(16,))),
    "small": Budget(
        10_000, 300, 256, lambda channels: networks.ConvNet(channels, 128, widths=(16, 32))
    ),
    "large": Budget(60_000, 20_000, 512, networks.ResNet18),
}
SETS = {
    "fashion-mnist": toy_data.fashion_mnist,
    "mnist": toy_data.mnist,
    "cifar10": toy_data.cifar10,
    "digits": toy_data.digits,
}
WRITTEN = ("mnist", "digits")
"""Sets whose pictures mean something else in the mirror."""


def run(
    *,
    quick: bool = False,
    seeds: int = 1,
    data: str | None = None,
    preset: str | None = None,
    done: Sequence[Row] = (),
) -> Iterator[Row]:
    """Yield the rows, each as soon as it is measured, those already done first.

    Args:
        quick: A few steps, to see that everything works.
        seeds: Runs of every method.
        data: Pictures with labels: fashion-mnist, mnist, cifar10 or digits. Fashion-MNIST if
            None, or the digits, which need no download, if quick.
        preset: small, for two CPU cores and under three quarters of an hour a seed, or
            large, for a GPU: all pictures, a ResNet-18, twenty times the steps.
        done: Rows of an earlier run, which are not measured again.

    Raises:
        ValueError: The data or the preset have no such name, or the data cannot be loaded.
    """
    checks.count("seeds", seeds)
    data = (data or ("digits" if quick else "fashion-mnist")).replace("_", "-")
    preset = preset or ("quick" if quick else "small")
    for name, value, known in (("data", data, SETS), ("preset", preset, PRESETS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
    budget = PRESETS[preset]
    train, test = (SETS[data](split) for split in ("train", "test"))
    train = Images(train.images[: budget.examples], train.labels[: budget.examples])
    view = common_view(data, train.images.shape[-1])
    found = {(row.method, row.seed): row for row in done}
    for seed in range(seeds):
        for name in (PIXELS, UNTRAINED, *TASKS):
            if name == PIXELS and seed > 0:
                continue
            known = found.get((name, seed))
            yield known or _measured(name, seed, budget, view, train, test)


def common_view(data: str, size: int) -> nn.Sequential:
    """Return the view that all methods share, of pictures of this size."""
    return nn.Sequential(
        views.ResizedCrop(size, scale=(0.3, 1.0)),
        views.Flip(0.0 if data in WRITTEN else 0.5),
        views.ColorJitter(0.4, 0.4, 0.0, 0.0),
    )


def trained(
    name: str, encoder: nn.Module, budget: Budget, view: nn.Sequential, train: Images, seed: int
) -> tuple[Method, Any, Views]:
    """Return a method after training in the budget, its data, and its views of a batch."""
    task = TASKS[name]
    data, _ = task.kind.example_inputs(tuple(train))
    method = task.kind.example(data, encoder=encoder, **task.hyper)
    of_batch = task.views(view, train.images.shape[-1])
    fit(
        method,
        data,
        steps=budget.steps,
        batch_size=budget.batch_size,
        views=of_batch,
        optimizer=lambda m: torch.optim.Adam(
            [p for p in m.parameters() if p.requires_grad], lr=task.learning_rate
        ),
        seed=seed,
    )
    return method, data, of_batch


def print_table(rows: Sequence[Row]) -> None:
    """Print the means over the seeds; a deviation follows where there are several."""
    print(
        f"{'method':22} {'k-NN %':>12} {'linear %':>12} {'RankMe':>7} {'s/step':>7} {'MB':>5} "
        f"{'steps':>6} {'seeds':>5}"
    )
    for name in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == name]
        accuracies = (_spread([100 * row.knn for row in own]),
                      _spread([100 * row.linear for row in own]))  # fmt: skip
        rank = mean(row.rank for row in own)
        line = f"{name:22} {accuracies[0]:>12} {accuracies[1]:>12} {rank:7.1f}"
        if own[0].steps:
            seconds, megabytes = mean(r.seconds for r in own), mean(r.megabytes for r in own)
            line += f" {seconds:7.3f} {megabytes:5.0f} {own[0].steps:6}"
        else:
            line += " " * 21
        print(f"{line} {len(own):5}")


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def _measured(
    name: str, seed: int, budget: Budget, view: nn.Sequential, train: Images, test: Images
) -> Row:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = budget.encoder(train.images.shape[1])
        if name == PIXELS:
            return Row(name, seed, *_worth(nn.Flatten(), train, test), 0, 0.0, 0.0)
        if name == UNTRAINED:
            return Row(name, seed, *_worth(encoder, train, test), 0, 0.0, 0.0)
        start = time.perf_counter()
        method, data, of_batch = trained(name, encoder, budget, view, train, seed)
        seconds = (time.perf_counter() - start) / budget.steps
        worth = _worth(method, train, test)
        several = data if isinstance(data, tuple) else (data,)
        device = next(method.parameters()).device
        batch = tuple(x[: budget.batch_size].to(device) for x in several)
        method.zero_grad(set_to_none=True)
        used = peak(lambda: _step(method, of_batch(*batch)), device)
        return Row(name, seed, *worth, budget.steps, seconds, used)


def _step(method: Method, batch: tuple[Tensor, ...]) -> None:
    torch.stack([value.mean() for value in method.terms(*batch).values()]).sum().backward()


def _worth(network: nn.Module, train: Images, test: Images) -> tuple[float, float, float]:
    """Return the accuracy of k-NN and of the linear probe, and the rank."""
    fitted, asked = (features(network, x) for x in (train.images, test.images))
    labels, answers = (y.to(fitted.device) for y in (train.labels, test.labels))
    knn = evaluation.knn_accuracy(fitted, labels, asked, answers)
    linear = evaluation.linear_accuracy(fitted, labels, asked, answers)
    return knn, linear, evaluation.rank_me(asked)


@torch.no_grad()
def features(network: nn.Module, images: Tensor) -> Tensor:
    """Return the representations of many pictures, in evaluation mode."""
    device = next((p.device for p in network.parameters()), images.device)
    encode = getattr(network, "encode", network)
    with evaluating(network):
        return torch.cat([encode(x.to(device)) for x in images.split(1_024)])
