"""How embeddings lie on the sphere: alignment, uniformity, mean cosine, deviation."""

import torch
from torch import Tensor
from torch.nn import functional

from ebm import checks, terms


def alignment(x: Tensor, y: Tensor) -> float:
    """Return the mean squared distance of positive pairs on the sphere, in [0, 4]."""
    with torch.no_grad():
        return float(terms.Alignment()(x, y).mean())


def uniformity(x: Tensor, *, sharpness: float = 2.0) -> float:
    """Return log mean exp(-sharpness |z_i - z_j|^2) over pairs on the sphere; 0 at collapse."""
    with torch.no_grad():
        return float(terms.Uniformity(sharpness=sharpness)(x))


def mean_cosine(x: Tensor) -> float:
    """Return the mean cosine of two different embeddings; 1 at collapse, near 0 when spread."""
    checks.embeddings(x, least=2, user="pairs")
    n, z = len(x), functional.normalize(x.detach().double(), dim=-1)
    own = z.square().sum()
    return float((z.sum(dim=0).square().sum() - own) / (n * (n - 1)))


def sphere_deviation(x: Tensor) -> float:
    """Return the mean deviation of z / |z| over the dimensions, times sqrt(dim).

    About 1 when the embeddings spread over the sphere, 0 at collapse.

    Reference: Chen & He, "SimSiam", CVPR 2021, arXiv:2011.10566, figure 2.
    """
    checks.embeddings(x, least=2, user="a deviation")
    z = functional.normalize(x.detach().double(), dim=-1)
    return float(z.std(dim=0).mean() * x.shape[1] ** 0.5)
