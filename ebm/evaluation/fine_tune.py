"""Fine-tuning: how good a start an encoder is."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks
from ebm.networks import features_of


def fine_tuned_accuracy(
    encoder: nn.Module,
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    *,
    steps: int = 500,
    batch_size: int = 128,
    step_size: float = 1e-3,
    generator: torch.Generator | None = None,
) -> float:
    """Return the test accuracy of a copy of the encoder trained with a linear classifier.

    Adam on the cross-entropy, all weights free; the encoder itself stays as it is. An
    untrained encoder gives the accuracy from scratch. Few labels: pass fewer rows.

    Args:
        encoder: Network with attribute `features`.
        train: Examples.
        train_labels: Their classes, (n,), counted from 0.
        test: Examples to classify.
        test_labels: Their classes.
        steps: Gradient steps.
        batch_size: Examples in a step, all of them if there are fewer.
        step_size: Of Adam.
        generator: Source of the batches' order.

    Raises:
        ValueError: The encoder has no attribute `features`.
    """
    checks.count("steps", steps)
    size = min(checks.count("batch_size", batch_size), len(train))
    head = nn.Linear(features_of(encoder), int(train_labels.max()) + 1)
    nn.init.zeros_(head.weight)
    network = nn.Sequential(copy.deepcopy(encoder), head).to(train.device).train()
    network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), lr=step_size)
    order = torch.empty(0, dtype=torch.long)
    with torch.enable_grad():
        for _ in range(steps):
            if len(order) < size:
                order = torch.randperm(len(train), generator=generator)
            rows, order = order[:size].to(train.device), order[size:]
            loss = functional.cross_entropy(network(train[rows]), train_labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        guesses = torch.cat([network(rows).argmax(dim=1) for rows in test.split(1024)])
    return float((guesses == test_labels).float().mean())
