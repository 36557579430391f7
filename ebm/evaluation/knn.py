"""The k-nearest-neighbor probe: how well a representation's neighbors share its label."""

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks
from ebm.evaluation.labeled import labeled

CHUNK = 2**22


def knn_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Return the share of test rows whose weighted neighbors vote for their label.

    Neighbors are the k most similar training rows by cosine; each votes with
    exp(cosine / temperature). With fewer than k training rows all of them vote.

    Reference: Wu et al., "Unsupervised feature learning via non-parametric instance
    discrimination", CVPR 2018, arXiv:1805.01978, section 3.4.

    Args:
        train_features: Representations, (n, dim); any axes behind the first are flattened.
        train_labels: Their classes, (n,), counted from 0.
        test_features: Representations to classify.
        test_labels: Their classes.
        k: Number of neighbors.
        temperature: Divides the cosines.

    Raises:
        ValueError: Features and labels differ in number, or widths differ.
    """
    checks.count("k", k)
    n = len(train_features)
    checks.positive("temperature", temperature)
    train, test = labeled(train_features, train_labels, test_features, test_labels)
    with torch.no_grad(), torch.autocast(train.device.type, enabled=False):
        bank = functional.normalize(train, dim=-1)
        queries = functional.normalize(test, dim=-1)
        classes = int(train_labels.max()) + 1
        right = 0
        for rows, labels in zip(
            queries.split(max(CHUNK // n, 1)), test_labels.split(max(CHUNK // n, 1)), strict=True
        ):
            guesses = nearest_classes(
                bank, train_labels, rows, classes=classes, k=k, temperature=temperature
            )
            right += int((guesses == labels).sum())
    return right / len(test)


def nearest_classes(
    bank: Tensor, labels: Tensor, queries: Tensor, *, classes: int, k: int, temperature: float
) -> Tensor:
    """Return the class that the neighbors of each query vote for, (n,).

    Args:
        bank: Unit vectors, (m, dim).
        labels: Their classes, (m,); those below 0 have no vote.
        queries: Unit vectors, (n, dim).
        classes: Number of classes.
        k: Number of neighbors, all of the bank if there are fewer.
        temperature: Divides the cosines.
    """
    similarity = queries @ bank.mT
    similarity = similarity.masked_fill(labels < 0, -2.0)  # behind all others
    similarity, index = similarity.topk(min(k, len(bank)), dim=1)
    weights = ((similarity - similarity[:, :1]) / temperature).exp() * (similarity > -1.5)
    votes = weights.new_zeros(len(queries), classes)
    votes.scatter_add_(1, labels[index].clamp(min=0), weights)
    return votes.argmax(dim=1)
