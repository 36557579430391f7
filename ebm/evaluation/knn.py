"""The k-nearest-neighbor probe: how well a representation's neighbors share its label."""

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks

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
    k, n = min(checks.count("k", k), len(train_features)), len(train_features)
    checks.positive("temperature", temperature)
    train, test = train_features.flatten(1), test_features.flatten(1)
    _fitting(train, train_labels, "train")
    _fitting(test, test_labels, "test")
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"test_features must have {train.shape[1]} features, as train_features, got "
            f"{test.shape[1]}. Encode both with the same encoder."
        )
    with torch.no_grad(), torch.autocast(train.device.type, enabled=False):
        bank = functional.normalize(train.detach().float(), dim=-1)
        queries = functional.normalize(test.detach().float(), dim=-1)
        classes = int(train_labels.max()) + 1
        right = 0
        for rows, labels in zip(
            queries.split(max(CHUNK // n, 1)), test_labels.split(max(CHUNK // n, 1)), strict=True
        ):
            similarity, index = (rows @ bank.mT).topk(k, dim=1)
            weights = ((similarity - similarity[:, :1]) / temperature).exp()
            votes = weights.new_zeros(len(rows), classes)
            votes.scatter_add_(1, train_labels[index], weights)
            right += int((votes.argmax(dim=1) == labels).sum())
    return right / len(test)


def _fitting(features: Tensor, labels: Tensor, name: str) -> None:
    if len(features) == 0 or labels.shape != (len(features),):
        raise ValueError(
            f"{name}_labels must be one label for each of the {len(features)} rows of "
            f"{name}_features, at least one, got shape {tuple(labels.shape)}. "
            "Pass class numbers of shape (n,)."
        )
