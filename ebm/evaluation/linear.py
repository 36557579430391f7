"""The linear probe: how well a representation separates the classes by hyperplanes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks
from ebm.evaluation.labeled import labeled


def linear_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    weight_decay: float = 1e-4,
    steps: int = 200,
) -> float:
    """Return the share of test rows that a linear classifier of the training rows gets right.

    Multinomial logistic regression on features standardized over the training rows, by
    L-BFGS from zero weights on the whole set, so that the number repeats.

    Args:
        train_features: Representations, (n, dim); any axes behind the first are flattened.
        train_labels: Their classes, (n,), counted from 0.
        test_features: Representations to classify.
        test_labels: Their classes.
        weight_decay: Half of it weighs the squared norm of the weights.
        steps: Most iterations of L-BFGS.

    Raises:
        ValueError: Features and labels differ in number, or widths differ.
    """
    checks.not_negative("weight_decay", weight_decay)
    train, test = labeled(train_features, train_labels, test_features, test_labels)
    deviation, mean = torch.std_mean(train, dim=0, correction=0)
    deviation = torch.where(deviation > 1e-6 * deviation.max(), deviation, torch.inf)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    classes = int(train_labels.max()) + 1
    weight = nn.Parameter(train.new_zeros(classes, train.shape[1]))
    bias = nn.Parameter(train.new_zeros(classes))
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=checks.count("steps", steps), line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimizer.zero_grad()
        value = functional.cross_entropy(functional.linear(train, weight, bias), train_labels)
        value = value + weight_decay / 2 * weight.square().sum()
        value.backward()
        return float(value.detach())

    with torch.enable_grad(), torch.autocast(train.device.type, enabled=False):
        optimizer.step(loss)
    with torch.no_grad():
        guesses = functional.linear(test, weight, bias).argmax(dim=1)
    return float((guesses == test_labels).float().mean())
