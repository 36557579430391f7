"""Batch normalization with the statistics of all processes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks, distributed
from ebm.shapes import Configurations


class BatchNorm(nn.Module):
    """Standardize each feature over the batch of all processes, on a CPU and on a GPU.

    Takes `(batch, features)` or `(batch, features, ...)`. In training the mean and the biased
    variance are those of the whole batch, with exact gradients on every process; the running
    statistics, the same on every process, are used in evaluation. With one process it is
    torch's batch norm.

    Args:
        features: Size of axis 1.
        momentum: Share of the new statistics in the running ones.
        eps: Added to the variance.
        affine: Learn a scale and a shift for each feature.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, features: int, *, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__()
        self.features = checks.count("features", features)
        self.momentum = checks.fraction("momentum", momentum)
        self.eps = checks.positive("eps", eps)
        self.weight = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Configurations) -> Configurations:
        """Return the standardized features.

        Raises:
            ValueError: Axis 1 has another size, or a training batch holds one value.
        """
        if x.ndim < 2 or x.shape[1] != self.features:
            raise ValueError(
                f"x must have {self.features} features on axis 1, got shape {tuple(x.shape)}. "
                "Give BatchNorm the width of the layer before it."
            )
        values = x.numel() // self.features * distributed.world()
        if self.training and values < 2:
            raise ValueError(
                "batch must hold at least 2 values per feature in training, got 1. "
                "Use a larger batch_size or more data, or call .eval()."
            )
        if self.training and distributed.world() > 1:
            return self._over_all(x)
        return functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def _over_all(self, x: Tensor) -> Tensor:
        dtype = x.dtype
        x = x.float() if dtype in (torch.float16, torch.bfloat16) else x
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        count = distributed.total(x.new_tensor(float(x.numel() // self.features)))
        mean = distributed.total(x.sum(axes)) / count
        centered = x - mean.view(shape)
        variance = distributed.total(centered.square().sum(axes)) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        y = centered * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None and self.bias is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(dtype)

    def extra_repr(self) -> str:
        """Return the arguments."""
        affine = self.weight is not None
        return f"{self.features}, momentum={self.momentum:g}, eps={self.eps:g}, affine={affine}"
