"""One training step of SimCLR on a ResNet-18: views, forward, loss, backward, optimizer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

import methods
from ebm import networks, views
from ebm.benchmark.speed import augmentation
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, Work


def tasks(peers: Peers, device: torch.device, *, quick: bool = False) -> Iterator[Task]:
    """Yield the tasks: the same network on both sides, its own views and loss."""
    count = 512 if device.type == "cuda" else 64
    width = 8 if quick else 64
    x = augmentation.pictures(8 if quick else count, 32).to(device)
    theirs: dict[str, Work] = {}
    loss = peers.module("lightly", "lightly.loss")
    make = augmentation.lightly(peers, x)
    if loss is not None and make is not None:
        network = _network(width).to(device)
        theirs["lightly"] = _their_step(network, make, loss.NTXentLoss(temperature=0.1))
    yield Task(
        "training", "a step of SimCLR, ResNet-18", f"{len(x)} pictures of 32 x 32",
        _our_step(_network(width).to(device), x), theirs,
        limit=_bare_step(_network(width).to(device), x),
        time_goal=1 / 3 if device.type == "cuda" else 1.0, seconds=8,
    )  # fmt: skip


def _network(width: int) -> nn.Module:
    torch.manual_seed(0)
    encoder = networks.ResNet18(width=width)
    head = nn.Sequential(
        nn.Linear(encoder.features, encoder.features), nn.ReLU(), nn.Linear(encoder.features, 128)
    )
    return nn.Sequential(encoder, head)


def _our_step(network: nn.Module, x: Tensor) -> Work:
    method: Any = methods.SimCLR(network, temperature=0.1)
    pair = views.Pair(views.Recipe.simclr(32))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def work() -> None:
        optimizer.zero_grad()
        for value in method.terms(*pair(x)).values():
            value.mean().backward()
        optimizer.step()

    return work


def _their_step(network: nn.Module, make: Work, loss: Any) -> Work:
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def work() -> None:
        optimizer.zero_grad()
        first, second = make(), make()
        loss(network(first), network(second)).backward()
        optimizer.step()

    return work


def _bare_step(network: nn.Module, x: Tensor) -> Work:
    """Return the network's own forward and backward on both views."""

    def work() -> None:
        network.zero_grad()
        for _ in range(2):
            network(x).square().mean().backward()

    return work
