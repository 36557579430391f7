"""SimCLR with a ResNet-18 on CIFAR-10, for a GPU: how well, how fast, how near to its peak.

bf16 autocast, compiled networks, channels last, data and views on the device; SGD with momentum,
a warm-up and a cosine. The accuracy is that of 200 weighted nearest neighbors at
temperature 0.1 after the last step, not the best one. The share of the peak counts the floating
point operations of forward and backward passes as torch counts them, views not included.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import toy_data
from ebm import fit, networks, views
from ebm.evaluation import knn_accuracy
from ebm.training import parameter_groups, warmup_cosine
from methods import SimCLR
from toy_data.images import Images

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}
"""Dense bf16 operations a second that the makers' data sheets state, by a part of the name."""
BATCH = 512
EPOCHS = 200
WARMUP = 10
"""Epochs of warm-up."""


@dataclass(frozen=True)
class Row:
    """One run."""

    device: str
    precision: str
    epochs: float
    steps: int
    seconds: float
    """Of training, with the time that the compiler takes."""
    images_per_second: float
    """Pictures that were trained on, each in two views."""
    operations_per_second: float
    peak_share: float | None
    """None where the peak is not known."""
    knn: float


def run(*, quick: bool = False, data: str | None = None) -> Iterator[Row]:
    """Yield the row.

    Args:
        quick: A few steps of a narrow network on the digits, on any device.
        data: Pictures with labels; cifar10 if None, or the digits if quick.
    """
    from lightning_fabric import Fabric

    name = data or ("digits" if quick else "cifar10")
    known: dict[str, Any] = {"cifar10": toy_data.cifar10, "digits": toy_data.digits}
    if name not in known:
        raise ValueError(f"data must be one of {', '.join(known)}, got {name!r}.")
    train, test = (known[name](split) for split in ("train", "test"))
    size, channels = train.images.shape[-1], train.images.shape[1]
    batch = 64 if quick else BATCH
    an_epoch = len(train.images) // batch
    steps = 6 if quick else EPOCHS * an_epoch
    torch.manual_seed(0)
    encoder = networks.ResNet18(channels, width=8 if quick else 64)
    features = encoder.features
    projector = networks.Projector([features, features, 128])
    method = SimCLR(encoder, projector, temperature=0.5)
    fabric = Fabric(accelerator="auto", devices=1, precision="bf16-mixed")
    operations = 3 * _forward_operations(method, train.images[:8]) / 8  # backward is twice forward
    _wait(fabric.device)
    start = time.perf_counter()
    fit(
        method,
        train.images,
        steps=steps,
        batch_size=batch,
        views=views.Pair(views.Recipe.simclr(size, strength=0.5, blur=0.0)),
        optimizer=lambda m: torch.optim.SGD(
            parameter_groups(m, weight_decay=5e-4), lr=0.06 * batch / 128, momentum=0.9
        ),
        schedule=warmup_cosine(steps=steps, warmup=min(WARMUP * an_epoch, steps // 10)),
        fabric=fabric,
        compile=not quick,
        channels_last=True,
        seed=0,
    )
    _wait(fabric.device)
    seconds = time.perf_counter() - start
    rate = steps * batch / seconds
    device = _device_name(fabric.device)
    peak = next((peak for name, peak in PEAKS.items() if name in device), None)
    yield Row(
        device,
        "bf16-mixed",
        steps / an_epoch,
        steps,
        seconds,
        rate,
        rate * operations,
        None if peak is None else rate * operations / peak,
        knn(method, train, test),
    )


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(
        f"{'device':24} {'precision':10} {'epochs':>7} {'steps':>6} {'minutes':>8} {'images/s':>9} "
        f"{'TFLOP/s':>8} {'of peak':>8} {'k-NN %':>7}"
    )
    for row in rows:
        share = "-" if row.peak_share is None else f"{row.peak_share:.1%}"
        print(
            f"{row.device:24} {row.precision:10} {row.epochs:7.1f} {row.steps:6} "
            f"{row.seconds / 60:8.2f} {row.images_per_second:9.0f} "
            f"{row.operations_per_second / 1e12:8.2f} {share:>8} {100 * row.knn:7.2f}"
        )


@torch.no_grad()
def knn(method: SimCLR, train: Images, test: Images) -> float:
    """Return the accuracy of 200 neighbors at temperature 0.1."""
    device = next(method.parameters()).device
    method.eval()
    features = [
        torch.cat([method.encode(x.to(device)).float() for x in images.split(1_000)])
        for images in (train.images, test.images)
    ]
    train_labels, test_labels = train.labels.to(device), test.labels.to(device)
    return knn_accuracy(features[0], train_labels, features[1], test_labels)


def _forward_operations(method: SimCLR, x: torch.Tensor) -> float:
    """Return the floating point operations of both views' forward passes."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        method.eval().embed(x)
    return 2.0 * counter.get_total_flops()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
