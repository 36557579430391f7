"""Fine-tuning: how good a start an encoder is."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks
from ebm.networks import features_of


def fine_tune(
    encoder: nn.Module,
    train: Tensor,
    train_labels: Tensor,
    *,
    steps: int = 500,
    batch_size: int = 128,
    step_size: float = 1e-3,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a classifier: a copy of the encoder with a linear head, trained with labels.

    Adam on the cross-entropy, all weights free; the encoder itself stays as it is. An
    untrained encoder is training from scratch. Few labels: pass fewer rows.

    Args:
        encoder: Network with attribute `features`.
        train: Examples.
        train_labels: Their classes, (n,), counted from 0.
        steps: Gradient steps.
        batch_size: Examples in a step, all of them if there are fewer.
        step_size: Of Adam.
        generator: Source of the batches' order.

    Raises:
        ValueError: The encoder has no attribute `features`, or the labels are not one for each
            example.
    """
    checks.count("steps", steps)
    if len(train) == 0 or train_labels.shape != (len(train),):
        raise ValueError(
            f"train_labels must be one label for each of the {len(train)} examples, at least "
            f"one, got shape {tuple(train_labels.shape)}. Pass class numbers of shape (n,)."
        )
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
    return network.eval()


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
    """Return the test accuracy of `fine_tune`.

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
        ValueError: The encoder has no attribute `features`, or the labels are not one for each
            example.
    """
    network = fine_tune(
        encoder,
        train,
        train_labels,
        steps=steps,
        batch_size=batch_size,
        step_size=step_size,
        generator=generator,
    )
    with torch.no_grad():
        guesses = torch.cat([network(rows).argmax(dim=1) for rows in test.split(1024)])
    return float((guesses == test_labels).float().mean())
