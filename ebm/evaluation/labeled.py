"""Labeled representations: what the probes are fed with."""

from torch import Tensor


def labeled(
    train_features: Tensor, train_labels: Tensor, test_features: Tensor, test_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return both sets of features as matrices in float32 or wider, detached.

    Raises:
        ValueError: Features and labels differ in number, or widths differ.
    """
    train, test = train_features.detach().flatten(1), test_features.detach().flatten(1)
    _fitting(train, train_labels, "train")
    _fitting(test, test_labels, "test")
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"test_features must have {train.shape[1]} features, as train_features, got "
            f"{test.shape[1]}. Encode both with the same encoder."
        )
    return tuple(x if x.dtype.itemsize >= 4 else x.float() for x in (train, test))  # pyright: ignore[reportReturnType]


def _fitting(features: Tensor, labels: Tensor, name: str) -> None:
    if len(features) == 0 or labels.shape != (len(features),):
        raise ValueError(
            f"{name}_labels must be one label for each of the {len(features)} rows of "
            f"{name}_features, at least one, got shape {tuple(labels.shape)}. "
            "Pass class numbers of shape (n,)."
        )
