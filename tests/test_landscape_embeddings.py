"""Views of joint embeddings: arrays against closed forms, drawings as smoke."""

import numpy as np
import pytest
import torch

from ebm import landscape


def distance(x, y):
    return (x - y).square().sum(-1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rendered(view):
    ax = landscape.draw(view)
    ax.figure.canvas.draw()
    return ax


@pytest.mark.parametrize("batch_size", [5, 1_000])
def test_a_pair_matrix_holds_every_pair_sorted_by_class(batch_size):
    x, y = normal(6, 3), normal(6, 3, seed=1)
    labels = torch.tensor([2, 0, 1, 0, 2, 1])
    found = landscape.pair_matrix(distance, x, y, labels, batch_size=batch_size)
    order = [1, 3, 2, 5, 0, 4]
    exact = (x[order][:, None] - y[order]).square().sum(-1)
    np.testing.assert_allclose(found.values, exact, rtol=1e-5)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    better = (exact < exact.diagonal()[:, None]).sum(1)
    assert found.ranks.tolist() == better.tolist()
    rendered(found)


def test_views_that_agree_are_their_own_nearest():
    x = normal(8, 4)
    found = landscape.pair_matrix(distance, x, x + 1e-3)
    assert found.retrieval == 1
    assert "for 100%" in rendered(found).get_xlabel()
    with pytest.raises(ValueError, match="y must be as many as x, 8, got 7"):
        landscape.pair_matrix(distance, x, x[:7])
    with pytest.raises(ValueError, match="one value per example"):
        landscape.pair_matrix(lambda x, y: (x - y).square(), x, x)


def test_positive_pairs_lie_below_negative_ones():
    x = 3 * normal(20, 8)
    found = landscape.pair_histograms(distance, x, x + 0.1)
    np.testing.assert_allclose(found.positive, 8 * 0.01, rtol=1e-3)
    assert found.negative.shape == (20 * 19,)
    assert found.auroc == 1
    assert landscape.pair_histograms(distance, x, x.flip(0)).auroc < 0.6
    rendered(found)


def test_alignment_and_uniformity_of_known_embeddings():
    square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    same = torch.ones(4, 2)
    found = landscape.alignment_uniformity([(same, same), (square, -square)], [0, 50])
    np.testing.assert_allclose(found.alignment, [0, 4], atol=1e-6)
    # Of the six pairs four are sqrt(2) apart and two are 2 apart.
    exact = np.log((4 * np.exp(-4) + 2 * np.exp(-8)) / 6)
    np.testing.assert_allclose(found.uniformity, [0, exact], atol=1e-5)
    assert found.steps.tolist() == [0, 50]
    rendered(found)
    with pytest.raises(ValueError, match="pairs must be as many as steps, at least one"):
        landscape.alignment_uniformity([])


def test_the_spectrum_counts_directions():
    flat = torch.cat([torch.eye(3).repeat(4, 1), torch.zeros(12, 2)], 1)
    found = landscape.spectrum(flat)
    np.testing.assert_allclose(found.values, [2, 2, 2, 0, 0], atol=1e-6)
    assert found.rank_me == pytest.approx(3, abs=1e-3)
    assert found.participation_ratio == pytest.approx(2, abs=1e-6)  # centered: one is lost
    assert found.dim == 5
    rendered(found)


def test_cross_correlations_are_those_of_numpy():
    x, y = normal(30, 4).double(), normal(30, 4, seed=1).double()
    found = landscape.cross_correlation(x, y)
    exact = np.corrcoef(x.T.numpy(), y.T.numpy())[:4, 4:]
    np.testing.assert_allclose(found.values, exact, atol=1e-12)
    own = landscape.cross_correlation(x)
    np.testing.assert_allclose(own.diagonal, 1, atol=1e-12)
    assert own.off_diagonal.shape == (12,)
    constant = torch.cat([x[:, :3], torch.ones(30, 1)], 1)
    assert landscape.cross_correlation(constant).values[3].tolist() == [0, 0, 0, 0]
    rendered(found)
    with pytest.raises(ValueError, match="at least 2 examples"):
        landscape.cross_correlation(x[:1])


def test_covariances_are_those_of_numpy():
    z = (
        normal(30, 4) @ torch.tensor([[2.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]])
    ).double()
    found = landscape.covariance(z)
    exact = np.cov(z.T.numpy())
    np.testing.assert_allclose(found.values, exact, atol=1e-12)
    off = exact - np.diag(np.diag(exact))
    assert found.redundancy == pytest.approx((off**2).sum() / 4)
    rendered(found)


def test_dead_dimensions_are_counted():
    z = torch.tensor([[0.0, 1.0, 5.0], [2.0, 1.0, 5.001]])
    found = landscape.spread(z)
    np.testing.assert_allclose(found.values, [2**0.5, 0, 1e-3 / 2**0.5], atol=1e-6)
    assert found.dead == 2
    assert "1 of 3 dimensions reach the line, 2 are dead" in rendered(found).get_xlabel()
    with pytest.raises(ValueError, match="target must be a positive number"):
        landscape.spread(z, target=0)


def test_an_embedding_map_is_the_plane_of_largest_variance():
    plane = normal(40, 2) * torch.tensor([5.0, 2.0])
    rotation, _ = torch.linalg.qr(normal(6, 6, seed=2))
    z = plane @ rotation[:2] + 7
    found = landscape.embedding_map(z)
    apart = torch.cdist(plane, plane).numpy()
    mapped = torch.as_tensor(found.positions)
    np.testing.assert_allclose(torch.cdist(mapped, mapped), apart, atol=1e-3)
    assert found.explained.sum() == pytest.approx(1)
    assert found.explained[0] > found.explained[1]
    np.testing.assert_allclose(found.locate(z), found.positions, atol=1e-5)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(2), atol=1e-12)
    rendered(found)
    pictures = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 10
    rendered(landscape.embedding_map(z, labels, pictures))
    with pytest.raises(ValueError, match="labels must be as many as z, 40, got 3"):
        landscape.embedding_map(z, labels[:3])
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        landscape.embedding_map(z[:, :1])


def test_the_monitor_sees_a_collapse():
    spread, collapsed = normal(64, 16), torch.ones(64, 16) + 1e-3 * normal(64, 16)
    found = landscape.collapse_monitor(
        [spread, collapsed], [0, 100], loss=[1.0, 0.0], collapse_value=0.0
    )
    assert found.state == "collapsed"
    assert found.deviation[0] == pytest.approx(1, abs=0.05)
    assert found.deviation[1] < 0.01
    assert abs(found.cosine[0]) < 0.05
    assert found.cosine[1] == pytest.approx(1, abs=1e-3)
    assert 0.8 < found.rank[0] <= 1
    assert found.rank[1] == pytest.approx(1 / 16, rel=0.1)
    assert "collapsed" in rendered(found).get_title(loc="right")
    assert landscape.collapse_monitor([collapsed, spread]).state == "healthy"
    few = torch.cat([normal(64, 1), torch.zeros(64, 31)], 1)
    assert landscape.collapse_monitor([few]).state == "few dimensions"
    rendered(landscape.collapse_monitor([few]))
    with pytest.raises(ValueError, match="embeddings must be as many as steps and losses"):
        landscape.collapse_monitor([spread], [0], loss=[1.0, 2.0])


def test_cosines_of_terms_are_those_of_their_gradients():
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0]])

    def terms():
        return {
            "along": x[:1] @ w,  # gradient (1, 0)
            "mean": x @ w,  # gradient (1, 1/2)
            "against": -3 * w[0],
            "constant": torch.tensor(4.0),
        }

    found = landscape.term_cosines(terms, [w])
    assert found.names == ("along", "mean", "against", "constant")
    np.testing.assert_allclose(found.norms, [1, 1.25**0.5, 3, 0], rtol=1e-6)
    np.testing.assert_allclose(found.cosines[0], [1, 1 / 1.25**0.5, -1, 0], atol=1e-6)
    assert w.grad is None
    assert "against 3" in rendered(found).get_xlabel()
    with pytest.raises(ValueError, match="parameters must hold one that can be trained"):
        landscape.term_cosines(terms, torch.nn.Identity())
