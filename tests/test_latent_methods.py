"""Latent methods against scikit-learn and their closed forms."""

import itertools
import warnings

import numpy as np
import pytest
import torch

import ebm
import methods


def _digits(dtype=torch.float64):
    from sklearn.datasets import load_digits

    return torch.as_tensor(load_digits().data / 16, dtype=dtype)


@pytest.fixture(scope="module")
def digits():
    return _digits()


class TestKMeans:
    def test_equals_scikit_learn_from_the_same_start(self, digits):
        from sklearn.cluster import KMeans

        start = digits[:40]
        reference = KMeans(
            40, init=start.numpy(), n_init=1, tol=0, algorithm="lloyd", max_iter=300
        ).fit(digits.numpy())
        method = methods.KMeans(40, start=start)
        history = ebm.fit(method, digits.to(torch.get_default_dtype()), seed=0, progress=False)
        assert history.total[-1] == pytest.approx(reference.inertia_ / len(digits), rel=1e-6)
        centers = torch.as_tensor(reference.cluster_centers_)
        torch.testing.assert_close(method.centers.double(), centers, atol=1e-5, rtol=0)

    def test_never_rises_and_is_exact_in_double(self, digits):
        method = methods.KMeans(10, start=digits[:10])
        batches = [(digits[:700],), (digits[700:],)]
        passes = [float(method.sweep(batches)["distance"]) for _ in range(60)]
        slack = 8 * torch.finfo(torch.float64).eps * passes[0]
        assert all(b <= a + slack for a, b in itertools.pairwise(passes))
        assert passes[-1] == pytest.approx(float(method.energy(digits).mean()), rel=1e-14)
        # Total = within + between, at a fixed point.
        labels = method.infer(digits)
        total = (digits - digits.mean(0)).square().sum() / len(digits)
        between = (method.centers[labels] - digits.mean(0)).square().sum() / len(digits)
        assert float(total) == pytest.approx(passes[-1] + float(between), rel=1e-12)

    def test_far_from_the_origin_gives_the_same_clusters(self):
        far = torch.randn(500, 8) + 1000
        near = far - 1000  # exact
        ours, theirs = methods.KMeans(5, start=near[:5]), methods.KMeans(5, start=far[:5])
        ours.sweep([(near,)])
        theirs.sweep([(far,)])
        torch.testing.assert_close(theirs.centers - 1000, ours.centers, atol=1e-4, rtol=0)

    def test_an_empty_cluster_takes_the_farthest_row_as_in_scikit_learn(self):
        from sklearn.cluster import KMeans

        x = torch.tensor([[0.0], [1.0], [2.0], [9.0]], dtype=torch.float64)
        start = torch.tensor([[1.0], [100.0]], dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = KMeans(2, init=start.numpy(), n_init=1, max_iter=1).fit(x.numpy())
        method = methods.KMeans(2, start=start)
        method.sweep([(x,)])
        np.testing.assert_allclose(method.centers.numpy(), reference.cluster_centers_)
        assert method.centers.flatten().tolist() == [1.0, 9.0]

    def test_the_start_is_drawn_from_the_rows_and_repeatable(self, digits):
        from ebm.latent import clusters

        halves = [(digits[:900],), (digits[900:],)]
        torch.manual_seed(3)
        start = clusters.plus_plus([(digits,)], 20)
        torch.manual_seed(3)
        torch.testing.assert_close(clusters.plus_plus(halves, 20), start)
        assert (torch.cdist(start, digits).min(1).values < 1e-6).all()
        assert len(torch.unique(start, dim=0)) == 20
        # Spread out: better than the mean of uniform draws.
        uniform = [
            clusters.squared_distance(digits, digits[torch.randperm(len(digits))[:20]]).mean()
            for _ in range(5)
        ]
        assert clusters.squared_distance(digits, start).mean() < torch.stack(uniform).mean()

    def test_rows_that_are_all_equal_are_fine(self):
        method = methods.KMeans(3)
        method.sweep([(torch.ones(5, 2),)])
        assert method.energy(torch.ones(2, 2)).tolist() == [0, 0]

    def test_images_and_checkpoints(self, digits, tmp_path):
        images = digits.float().view(-1, 1, 8, 8)
        method = methods.KMeans.example(images)
        ebm.fit(method, images, steps=3, seed=0, out=tmp_path, progress=False)
        assert method.centers.shape == (16, 1, 8, 8)
        loaded = ebm.load(tmp_path, into=methods.KMeans(16))
        torch.testing.assert_close(loaded.energy(images), method.energy(images))

    def test_bad_input_gets_the_cure(self, digits):
        with pytest.raises(ValueError, match="clusters must be a whole number"):
            methods.KMeans(0)
        with pytest.raises(ValueError, match="start must have one row for each cluster"):
            methods.KMeans(3, start=digits[:2])
        with pytest.raises(ValueError, match=r"Call ebm\.fit"):
            methods.KMeans(3).energy(digits)
        with pytest.raises(ValueError, match="x must be shaped like the centers"):
            methods.KMeans(3, start=digits[:3]).energy(digits[:, :5])
        with pytest.raises(ValueError, match="Ask for fewer clusters"):
            methods.KMeans(3).sweep([(digits[:2],)])


class TestAutoencoder:
    @pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
    def test_learns_and_gives_one_error_per_example(self, shape):
        x = torch.randn(256, *shape).cumsum(-1)
        method = methods.Autoencoder.example(x)
        before = method.energy(x)
        assert before.shape == (256,)
        expected = (x - method.decoder(method.encode(x))).square().flatten(1).sum(1)
        torch.testing.assert_close(before, expected)
        history = ebm.fit(method, x, steps=60, seed=0, progress=False)
        assert history.names == ["reconstruction"]
        assert method.energy(x).mean() < 0.6 * before.mean()

    def test_a_decoder_of_another_shape_is_refused(self):
        method = methods.Autoencoder(torch.nn.Linear(4, 2), torch.nn.Linear(2, 1))
        with pytest.raises(ValueError, match="decoder must return the shape of x"):
            method.energy(torch.zeros(3, 4))
