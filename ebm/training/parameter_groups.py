"""Groups of parameters for an optimizer: weights decay, biases and norms do not."""

from typing import Any

from torch import nn

from ebm import checks


def parameter_groups(method: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return a group that decays, of matrices and filters, and one that does not.

    Vectors and single numbers are left out: biases, and the scales and shifts of norms.

    Args:
        method: The method, or any module.
        weight_decay: Of the first group.

    Reference: Goyal et al., "Accurate, large minibatch SGD", 2017, arXiv:1706.02677, sec. 5.3;
    You, Gitman & Ginsburg, "Large batch training of convolutional networks", 2017,
    arXiv:1708.03888.

    Example:
        >>> method = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        >>> [len(g["params"]) for g in parameter_groups(method, weight_decay=1e-6)]
        [1, 3]
    """
    checks.not_negative("weight_decay", weight_decay)
    trainable = [p for p in method.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
