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
        with pytest.raises(ValueError, match="views must have one shape"):
            method.energy(torch.zeros(3, 4))


class TestPCA:
    def test_equals_scikit_learn(self, digits):
        from sklearn.decomposition import PCA

        reference = PCA(10, svd_solver="full").fit(digits.numpy())
        method = methods.PCA(10)
        value = method.sweep([(digits[:1000],), (digits[1000:],)])["reconstruction"]
        ours, theirs = method.axes.T, torch.as_tensor(reference.components_).T
        torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, atol=1e-9, rtol=0)
        n = len(digits)
        explained = torch.as_tensor(reference.explained_variance_) * (n - 1) / n
        torch.testing.assert_close(method.variances, explained, rtol=1e-10, atol=0)
        assert float(value) == pytest.approx(float(method.energy(digits).mean()), rel=1e-12)

    def test_energy_in_both_forms_zero_on_the_span_free_to_rotate(self, digits):
        method = methods.PCA(5)
        method.sweep([(digits,)])
        centered = digits - method.mean
        other = centered.square().sum(1) - method.encode(digits).square().sum(1)
        scale = 32 * torch.finfo(torch.float64).eps * digits.square().sum(1).max()
        torch.testing.assert_close(method.energy(digits), other, atol=float(scale), rtol=0)
        span = method.decode(torch.randn(7, 5, dtype=torch.float64))
        assert method.energy(span).max() < scale
        rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
        before = method.energy(digits)
        method.axes = rotation @ method.axes
        torch.testing.assert_close(method.energy(digits), before, atol=float(scale), rtol=0)
        # No other subspace of as many dimensions has a lower mean energy.
        method.axes = torch.linalg.qr(torch.randn(64, 5, dtype=torch.float64)).Q.T.contiguous()
        assert method.energy(digits).mean() > before.mean()

    def test_fit_stops_after_the_pass_that_changes_nothing(self, digits):
        images = digits.float().view(-1, 1, 8, 8) + 100
        method = methods.PCA.example(images, components=3)
        history = ebm.fit(method, images, seed=0, progress=False)
        assert len(history) == 2
        assert method.encode(images).mean(0).abs().max() < 1e-3

    def test_bad_input_gets_the_cure(self):
        with pytest.raises(ValueError, match="components must be at most the dimensions"):
            methods.PCA(3).sweep([(torch.randn(5, 2),)])
        with pytest.raises(ValueError, match=r"Call ebm\.fit"):
            methods.PCA(1).energy(torch.randn(5, 2))


class TestProbabilisticPCA:
    def test_is_the_gaussian_of_largest_likelihood(self, digits):
        x = digits + 0.1 * torch.randn_like(digits)
        method = methods.ProbabilisticPCA(6)
        value = method.sweep([(x[:500],), (x[500:],)])["negative_log_likelihood"]
        weights = method.axes.T * (method.variances - method.noise).sqrt()
        covariance = weights @ weights.T + method.noise * torch.eye(64, dtype=x.dtype)
        gaussian = torch.distributions.MultivariateNormal(method.mean, covariance)
        torch.testing.assert_close(method.energy(x), -gaussian.log_prob(x), rtol=1e-10, atol=0)
        assert float(value) == pytest.approx(float(method.energy(x).mean()), rel=1e-10)
        posterior = (x - method.mean) @ torch.linalg.solve(covariance, weights)
        torch.testing.assert_close(method.encode(x), posterior, rtol=1e-8, atol=1e-10)

    def test_equals_scikit_learn_up_to_its_variances(self, digits):
        from sklearn.decomposition import PCA

        x = digits + 0.1 * torch.randn_like(digits)
        reference = PCA(6, svd_solver="full").fit(x.numpy()).score_samples(x.numpy())
        method = methods.ProbabilisticPCA(6)
        method.sweep([(x,)])
        # Theirs divide by n - 1: each energy differs by its share of 1 / n.
        mine = method.energy(x).numpy()
        np.testing.assert_allclose(-reference, mine, atol=float(abs(mine).max()) * 2 / len(x) + 0.1)

    def test_bad_input_gets_the_cure(self):
        with pytest.raises(ValueError, match="components must be fewer than the dimensions"):
            methods.ProbabilisticPCA(2).sweep([(torch.randn(5, 2),)])
        with pytest.raises(ValueError, match="data must vary outside 1 directions"):
            methods.ProbabilisticPCA(1).sweep([(torch.randn(5, 1).expand(5, 3),)])
        with pytest.raises(ValueError, match=r"Call ebm\.fit"):
            methods.ProbabilisticPCA(1).energy(torch.randn(5, 2))


def _blobs(n=600, dim=3):
    generator = torch.Generator().manual_seed(1)
    means = 4 * torch.randn(4, dim, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (n,), generator=generator)
    noise = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    return means[labels] + noise * torch.tensor([0.4, 0.8, 1.2])[:dim]


RULES = {
    "full": ebm.latent.Full(),
    "diag": ebm.latent.Diagonal(),
    "spherical": ebm.latent.Spherical(),
}


class TestGaussianMixture:
    @pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
    def test_passes_equal_scikit_learn_from_the_same_start(self, kind):
        from sklearn.mixture import GaussianMixture

        x, start = _blobs(), _blobs()[:4]
        method = methods.GaussianMixture(4, covariance=RULES[kind], start=start)
        values = [float(method.sweep([(x[:250],), (x[250:],)]).popitem()[1]) for _ in range(9)]
        full = torch.cov(x.T, correction=0)
        precision = {
            "full": torch.linalg.inv(full + 1e-6 * torch.eye(3)).expand(4, -1, -1),
            "diag": (1 / (full.diagonal() + 1e-6)).expand(4, -1),
            "spherical": (1 / (full.diagonal().mean() + 1e-6)).expand(4),
        }[kind]
        reference = GaussianMixture(
            4, covariance_type=kind, tol=0, max_iter=9, means_init=start.numpy(),
            weights_init=np.full(4, 0.25), precisions_init=precision.numpy(),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference.fit(x.numpy())
        np.testing.assert_allclose(
            method.energy(x).numpy(), -reference.score_samples(x.numpy()), rtol=1e-8, atol=1e-8
        )
        np.testing.assert_allclose(
            method.infer(x).numpy(), reference.predict_proba(x.numpy()), atol=1e-8
        )
        slack = 64 * torch.finfo(torch.float64).eps * abs(values[0])
        assert all(b <= a + slack + 1e-5 for a, b in itertools.pairwise(values))

    @pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
    def test_never_rises_without_a_floor(self, kind):
        x = _blobs()
        method = methods.GaussianMixture(3, covariance=RULES[kind], start=x[:3], variance_floor=0.0)
        values = [float(method.sweep([(x,)]).popitem()[1]) for _ in range(40)]
        slack = 64 * torch.finfo(torch.float64).eps * abs(values[0])
        assert all(b <= a + slack for a, b in itertools.pairwise(values))
        assert float(method.energy(x).mean()) <= values[-1] + slack

    def test_becomes_k_means_when_sharp(self):
        # 2 s^2 F, without its constant, lies within [0, 2 s^2 log K] below k-means' energy.
        x, variance = _blobs(), 0.05
        centers = x[:5].clone()
        method = methods.GaussianMixture(5, covariance=ebm.latent.Spherical())
        method.weights, method.means = torch.full((5,), 0.2, dtype=x.dtype), centers
        method.covariances = torch.full((5,), variance, dtype=x.dtype)
        constant = 1.5 * np.log(2 * np.pi * variance) + np.log(5)
        soft = 2 * variance * (method.energy(x) - constant)
        hard = methods.KMeans(5, start=centers).energy(x)
        gap = hard - soft
        assert (gap >= -1e-10).all()
        assert (gap <= 2 * variance * np.log(5) + 1e-10).all()

    def test_fit_images_and_checkpoints(self, digits, tmp_path):
        images = digits.float().view(-1, 1, 8, 8)
        method = methods.GaussianMixture.example(
            images, covariance=ebm.latent.Diagonal(), variance_floor=1e-2
        )
        history = ebm.fit(method, images, steps=5, seed=0, out=tmp_path, progress=False)
        assert history.total[-1] < history.total[0]
        loaded = ebm.load(tmp_path, into=methods.GaussianMixture(8, covariance=RULES["diag"]))
        torch.testing.assert_close(loaded.energy(images), method.energy(images))

    def test_bad_input_gets_the_cure(self):
        with pytest.raises(ValueError, match="start must have one row for each component"):
            methods.GaussianMixture(3, start=torch.randn(2, 2))
        with pytest.raises(ValueError, match=r"Call ebm\.fit"):
            methods.GaussianMixture(3).energy(torch.randn(2, 2))
