"""Losses over two processes: the law holds for every term, and catches what breaks it."""

import pytest

from ebm import terms
from ebm.testing import Violation, check_distributed

PAIRS = [
    terms.Invariance,
    terms.Alignment,
    terms.Variance,
    terms.Covariance,
    terms.CrossCorrelation,
    terms.InfoNCE,
    terms.InfoNCE.clip,
    terms.NTXent,
    terms.Decoupled,
]


class Local:
    """Statistics of each process's own rows: another loss than that of the whole batch."""

    def __call__(self, x, y):
        return (x.var(0) - 1).square().sum() + (x - y).square().sum()


@pytest.mark.slow
def test_terms_are_exact_over_processes():
    check_distributed(PAIRS)
    check_distributed([terms.Uniformity, terms.TransformationCovariance], views=1)


@pytest.mark.slow
def test_local_statistics_are_caught():
    with pytest.raises(Violation, match=r"Local: the loss of 2 processes"):
        check_distributed([Local])
