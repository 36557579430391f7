"""The spectrum of embeddings: how many directions they use."""

import torch
from torch import Tensor

from ebm import checks


def spectrum(features: Tensor) -> Tensor:
    """Return the singular values of the embeddings, not centered, largest first."""
    checks.embeddings(features)
    with torch.autocast(features.device.type, enabled=False):
        features = features.detach()
        return torch.linalg.svdvals(features if features.dtype.itemsize >= 4 else features.float())


def rank_me(features: Tensor, *, eps: float = 1e-7) -> float:
    """Return the effective rank of the embeddings, between 1 and min(n, dim).

    exp(-sum_k p_k log p_k) with p = s / sum(s) + eps, s the singular values of the embeddings,
    not centered. k equal singular values give k. It ranks runs by the embeddings behind the
    projector; n should be much larger than dim.

    Reference: Garrido, Balestriero, Najman & LeCun, "RankMe", ICML 2023, arXiv:2210.02885,
    eqs. 3 and 4.

    Args:
        features: Embeddings, (n, dim).
        eps: Added to the shares; larger ones inflate the rank where dim is large.
    """
    checks.not_negative("eps", eps)
    values = spectrum(features).double()
    shares = values / values.sum().clamp(min=torch.finfo(torch.float64).tiny) + eps
    return float(torch.exp(-torch.special.xlogy(shares, shares).sum()))


def participation_ratio(features: Tensor) -> float:
    """Return (sum v)^2 / sum v^2 of the covariance's eigenvalues: the dimensions in use."""
    checks.embeddings(features, least=2, user="a covariance")
    eigenvalues = spectrum(features - features.mean(dim=0)).double().square()
    total = eigenvalues.sum()
    return float(total.square() / eigenvalues.square().sum()) if total > 0 else 0.0
