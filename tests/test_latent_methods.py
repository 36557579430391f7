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


EXAMPLES = [
    methods.Autoencoder,
    methods.DenoisingAutoencoder,
    methods.ContractiveAutoencoder,
    methods.SparseAutoencoder,
    methods.VariationalAutoencoder,
    methods.TargetPropagation,
    methods.SparseCoding,
    methods.LISTA,
    methods.PredictiveSparseDecomposition,
]


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_examples_learn_points_and_images(kind, shape):
    x = torch.randn(64, *shape)
    method = kind.example(x)
    before = method.energy(x)
    assert before.shape == (64,)
    torch.testing.assert_close(method.energy(x[:3]), before[:3], rtol=1e-4, atol=1e-3)
    history = ebm.fit(
        method, x, steps=12, batch_size=64, seed=0, progress=False,
        optimizer=lambda method: torch.optim.Adam(method.parameters(), 5e-3),
    )  # fmt: skip
    if kind is not methods.LISTA:  # it learns the codes, not their energy
        assert method.energy(x).mean() < before.mean()
    assert history.total[-3:].mean() < history.total[:3].mean()
    assert len(method.encode(x)) == 64
    assert ebm.score(method.energy, x).shape == x.shape


class TestDenoisingAutoencoder:
    def test_the_best_denoiser_is_a_step_along_the_score(self):
        # Data at -1 and 2: r*(x) = sum of the points weighted by their smoothed densities.
        points, sigma = torch.tensor([[-1.0], [2.0]], dtype=torch.float64), 0.7

        class Best(torch.nn.Module):
            def forward(self, x):
                weights = torch.softmax(-(x - points.T).square() / (2 * sigma**2), 1)
                return weights @ points

        method = methods.DenoisingAutoencoder(torch.nn.Identity(), Best(), sigma=sigma)
        x = torch.linspace(-3, 4, 50, dtype=torch.float64)[:, None]

        def smoothed(x):
            return -torch.logsumexp(-(x - points.T).square() / (2 * sigma**2), 1)

        torch.testing.assert_close(method.score(x), ebm.score(smoothed, x), rtol=0, atol=1e-12)
        expected = sigma**4 * method.score(x).square().sum(1)
        torch.testing.assert_close(method.energy(x), expected)

    def test_the_slope_of_the_energy_is_the_score_turned_by_the_curvature(self):
        # E = sigma^4 |s|^2, so -dE/dx = -2 sigma^4 H s with H = ds/dx: near a thin curve H is
        # about -1 / sigma^2 across it, and -dE/dx about 2 sigma^2 s.
        angle = torch.linspace(0, 2 * torch.pi, 400, dtype=torch.float64)[:-1]
        points, sigma = torch.stack([2 * angle.cos(), 2 * angle.sin()], 1), 0.3

        class Best(torch.nn.Module):
            def forward(self, x):
                return torch.softmax(-torch.cdist(x, points).square() / (2 * sigma**2), 1) @ points

        method = methods.DenoisingAutoencoder(torch.nn.Identity(), Best(), sigma=sigma)

        def smoothed(x):
            squares = (x[..., None, :] - points).square().sum(-1)
            return torch.logsumexp(-squares / (2 * sigma**2), -1)

        x = torch.tensor([[2.2, 0.3], [1.1, -1.5], [-0.02, 0.01]], dtype=torch.float64)
        slope, hessian = ebm.score(method.energy, x), torch.autograd.functional.hessian
        for own, row, score in zip(slope, x, method.score(x), strict=True):
            expected = -2 * sigma**4 * hessian(smoothed, row) @ score
            torch.testing.assert_close(own, expected, rtol=1e-8, atol=1e-9)
        near = torch.cosine_similarity(slope, method.score(x), dim=1)
        assert (near[:2] > 0.999).all()
        torch.testing.assert_close(slope[:2], 2 * sigma**2 * method.score(x)[:2], rtol=0.1, atol=0)
        # On the ridge in the middle the energy is low as well, and its slope is against the score.
        assert near[2] < 0

    def test_training_finds_the_shrinkage_of_a_gaussian(self):
        # On N(0, 1) the best linear denoiser multiplies by 1 / (1 + sigma^2).
        decoder = torch.nn.Linear(1, 1, bias=False)
        method = methods.DenoisingAutoencoder(torch.nn.Identity(), decoder, sigma=0.8)
        ebm.fit(
            method, torch.randn(20_000, 1), steps=400, batch_size=1000, seed=0, progress=False,
            optimizer=lambda method: torch.optim.Adam(method.parameters(), 1e-2),
        )  # fmt: skip
        assert decoder.weight.item() == pytest.approx(1 / 1.64, abs=0.02)


def test_contraction_equals_the_closed_form_of_a_sigmoid_layer():
    layer = torch.nn.Linear(5, 3).double()
    encoder = torch.nn.Sequential(layer, torch.nn.Sigmoid())
    x = torch.randn(7, 5, dtype=torch.float64)
    h = encoder(x)
    expected = (h * (1 - h)).square() @ layer.weight.square().sum(1)
    own = ebm.latent.contraction(encoder, x)
    torch.testing.assert_close(own, expected, rtol=1e-12, atol=0)
    own.sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        torch.testing.assert_close(ebm.latent.contraction(encoder, x).detach(), expected)


class TestSparseAutoencoder:
    def test_columns_stay_in_the_unit_ball(self):
        x = torch.randn(64, 6)
        method = methods.SparseAutoencoder.example(x)
        ebm.fit(method, x, steps=20, batch_size=32, seed=0, progress=False)
        assert method.decoder[0].weight.norm(dim=0).max() <= 1 + 1e-6

    def test_top_k_keeps_k_entries(self):
        z = torch.tensor([[0.1, 3.0, -5.0, 2.0]], requires_grad=True)
        sparse = ebm.latent.TopK(2)(z)
        assert sparse.tolist() == [[0.0, 3.0, 0.0, 2.0]]
        sparse.sum().backward()
        assert z.grad.tolist() == [[0.0, 1.0, 0.0, 1.0]]
        with pytest.raises(ValueError, match="count must be at most the width of the code"):
            ebm.latent.TopK(5)(z)
        encoder = torch.nn.Sequential(torch.nn.Linear(4, 12), ebm.latent.TopK(3))
        method = methods.SparseAutoencoder(encoder, torch.nn.Linear(12, 4), sparsity_weight=0.0)
        assert (method.encode(torch.randn(5, 4)) != 0).sum(1).tolist() == [3] * 5

    def test_kl_is_zero_at_the_rate_and_belongs_to_the_batch(self):
        penalty = ebm.latent.KLSparsity(0.2)
        z = torch.full((4, 3), 0.2)
        assert penalty(z).item() == pytest.approx(0, abs=1e-6)
        other = torch.tensor([[0.5], [0.1]])
        expected = 0.2 * np.log(0.2 / 0.3) + 0.8 * np.log(0.8 / 0.7)
        assert penalty(other).item() == pytest.approx(expected, rel=1e-5)
        encoder = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Sigmoid())
        method = methods.SparseAutoencoder(encoder, torch.nn.Linear(8, 4), penalty)
        x = torch.randn(5, 4)
        assert method.terms(x)["sparsity"].shape == ()
        torch.testing.assert_close(method.energy(x), method.terms(x)["reconstruction"])

    def test_l1_is_part_of_the_energy(self):
        x = torch.randn(5, 4)
        method = methods.SparseAutoencoder.example(x)
        torch.testing.assert_close(method.energy(x), sum(method.terms(x).values()))


class TestVariationalAutoencoder:
    def test_bound_is_tight_for_the_posterior_of_a_linear_decoder(self):
        # p(x) = N(0, W W^T + s I); q is the exact posterior where W^T W is diagonal.
        weights = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64)).Q
        weights = weights * torch.tensor([2.0, 0.5])
        variance = 0.3
        decoder = torch.nn.Linear(2, 5, bias=False).double()
        decoder.weight = torch.nn.Parameter(weights)
        precision = weights.square().sum(0) / variance + 1

        class Posterior(torch.nn.Module):
            def forward(self, x):
                mean = x @ weights / variance / precision
                return torch.cat([mean, -precision.log().expand_as(mean)], 1)

        method = methods.VariationalAutoencoder(Posterior(), decoder, variance=variance)
        x = torch.randn(6, 5, dtype=torch.float64)
        covariance = weights @ weights.T + variance * torch.eye(5, dtype=torch.float64)
        exact = -torch.distributions.MultivariateNormal(x.new_zeros(5), covariance).log_prob(x)
        torch.testing.assert_close(method.energy(x), exact, rtol=1e-12, atol=1e-12)
        # Any other q lies above, by KL(q | posterior).
        shift = 0.4
        mean, log_variance = method.posterior(x)
        method.posterior = lambda x: (mean + shift, log_variance)
        gap = (shift**2 * precision).sum() / 2
        torch.testing.assert_close(method.energy(x) - exact, gap.expand(6), rtol=1e-10, atol=0)

    def test_divergence_equals_torch_distributions(self):
        x = torch.randn(9, 3)
        method = methods.VariationalAutoencoder.example(x)
        mean, log_variance = method.posterior(x)
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
        torch.testing.assert_close(method.terms(x)["divergence"], expected.sum(1))
        assert (method.terms(x)["divergence"] >= 0).all()


class TestSparseCoding:
    def test_atoms_stay_in_the_unit_ball_and_the_envelope_moves_them(self):
        x = torch.randn(64, 6, dtype=torch.float64)
        method = methods.SparseCoding.example(x).double()
        z = method.infer(x)
        (own,) = torch.autograd.grad(method.energy(x).mean(), method.code.atoms)
        residual = z @ method.code.atoms - x
        torch.testing.assert_close(own, (z.T @ residual / 64).detach())
        for _ in range(3):
            with torch.no_grad():
                method.code.atoms += 0.5 * torch.randn_like(method.code.atoms)
            method.after_step()
            assert method.code.atoms.norm(dim=1).max() <= 1 + 1e-12

    def test_recovers_planted_atoms(self):
        generator = torch.Generator().manual_seed(0)
        atoms = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
        z = torch.randn(2000, 8, generator=generator)
        z *= torch.rand(2000, 8, generator=generator) < 0.2
        method = methods.SparseCoding.example(z @ atoms, atoms=8)
        ebm.fit(
            method, z @ atoms, steps=150, batch_size=250, seed=0, progress=False,
            optimizer=lambda method: torch.optim.Adam(method.parameters(), 5e-2),
        )  # fmt: skip
        match = (method.code.atoms @ atoms.T).abs().amax(0)
        assert match.min() > 0.9


@pytest.mark.parametrize(
    "kind",
    [methods.SparseCoding, methods.PredictiveSparseDecomposition, methods.SparseAutoencoder],
    ids=lambda kind: kind.__name__,
)
def test_atoms_are_in_the_unit_ball_after_every_step(kind):
    x = 3 * torch.randn(32, 5)
    method = kind.example(x)
    atoms = method.decoder[0].weight.T if kind is methods.SparseAutoencoder else method.code.atoms
    longest = []
    for step in range(4):
        before = atoms.detach().clone()
        ebm.fit(
            method, x, steps=1, batch_size=32, seed=step, progress=False,
            optimizer=lambda method: torch.optim.SGD(method.parameters(), 1.0),
        )  # fmt: skip
        assert not torch.equal(atoms, before)
        longest.append(atoms.detach().norm(dim=1).max().item())
    assert max(longest) <= 1 + 1e-6
    assert max(longest) > 0.99  # the ball is what held them


class TestLISTA:
    def test_untrained_layers_are_steps_of_ista(self):
        generator = torch.Generator().manual_seed(0)
        atoms = torch.randn(30, 12, generator=generator, dtype=torch.float64)
        code = ebm.latent.SparseCode(atoms / atoms.norm(dim=1, keepdim=True))
        x = torch.randn(9, 12, generator=generator, dtype=torch.float64)
        network = ebm.latent.UnrolledISTA(code, 10)
        z = code.start(x)
        for own in network.every_layer(x):
            z = code.proximal_step(x)(z)
            torch.testing.assert_close(own, z, rtol=0, atol=1e-14)
        torch.testing.assert_close(network(x), z)
        single = network.float()(x.float())
        torch.testing.assert_close(single, z.float(), rtol=0, atol=5e-6)

    def test_training_beats_ista_of_the_same_depth(self, digits):
        x = digits.float()
        x = x / x.norm(dim=1, keepdim=True)
        method = methods.LISTA.example(x, atoms=64, layers=2)
        best = method.code.infer(x)
        before = (method.encode(x) - best).square().sum(1).mean()
        assert (method.energy(x) >= method.code.free_energy(x) - 1e-5).all()
        ebm.fit(method, (x, best), steps=150, seed=0, progress=False)
        after = (method.encode(x) - best).square().sum(1).mean()
        assert after < 0.6 * before
        assert not method.code.atoms.requires_grad

    def test_energy_can_be_the_loss(self):
        x = torch.randn(20, 4)
        code = methods.LISTA.example(x).code
        method = methods.LISTA(code, code_weight=0.0, energy_weight=2.0)
        terms = method.terms(x)
        assert list(terms) == ["energy"]
        torch.testing.assert_close(terms["energy"], 2 * method.energy(x))


class TestTargets:
    @pytest.mark.parametrize(
        "kind", [methods.TargetPropagation, methods.PredictiveSparseDecomposition]
    )
    def test_the_code_is_inferred_from_the_prediction_and_held_constant(self, kind):
        x = torch.randn(16, 4)
        method = kind.example(x)
        latent = method.latent if kind is methods.TargetPropagation else method.code
        z = method.infer(x)
        assert not z.requires_grad
        assert (latent(x, z) <= latent(x, method.encode(x)) + 1e-6).all()
        torch.testing.assert_close(sum(method.terms(x).values()), method.energy(x))
        # The encoder's gradient comes from the prediction alone.
        encoder = list(method.encoder.parameters())
        whole = torch.autograd.grad(sum(method.terms(x).values()).sum(), encoder)
        alone = torch.autograd.grad(method.terms(x)["prediction"].sum(), encoder)
        torch.testing.assert_close(whole, alone)

    def test_psd_is_twice_sparse_coding_with_half_the_sparsity(self):
        atoms, x, z = torch.randn(6, 4), torch.randn(5, 4), torch.randn(5, 6)
        psd = ebm.latent.PredictiveSparseCode(
            atoms, torch.nn.Linear(4, 6), sparsity_weight=0.4, prediction_weight=0.0
        )
        twice = 2 * ebm.latent.SparseCode(atoms, sparsity_weight=0.2)(x, z)
        torch.testing.assert_close(psd(x, z), twice)


class TestMaskedAutoencoder:
    @pytest.mark.parametrize("shape", [(2,), (3, 8, 8), (5,)])
    def test_masks_hide_their_share_and_cover_evenly(self, shape):
        from ebm.latent import Masks

        masks, x = Masks(0.5, patch=2), torch.randn(4, *shape)
        drawn = masks.draw(x)
        assert drawn.shape == x.shape
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        shares = drawn.flatten(1).mean(1)
        assert (shares == shares[0]).all()
        cover = masks.cover(x)
        total = torch.stack(cover).sum(0)
        assert (total == total.flatten()[0]).all()
        assert all(mask.flatten(1).mean(1)[0] == shares[0] for mask in cover)
        if len(shape) == 3:
            blocks = drawn[:, 0].unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
            assert (blocks == blocks[..., :1]).all()
            assert (drawn == drawn[:, :1]).all()

    def test_learns_what_belongs_together(self):
        angle = torch.rand(2000) * 6.28
        x = torch.stack([angle.cos(), angle.cos()], 1)
        method = methods.MaskedAutoencoder.example(x)
        ebm.fit(
            method, x, steps=150, seed=0, progress=False,
            optimizer=lambda method: torch.optim.Adam(method.parameters(), 3e-3),
        )  # fmt: skip
        together, apart = torch.tensor([[0.7, 0.7]]), torch.tensor([[0.7, -0.7]])
        assert method.energy(together) < 0.05
        assert method.energy(apart) > 1.0
        # What is hidden cannot be seen: the error of each coordinate ignores its own value.
        torch.testing.assert_close(method.energy(x[:3]), method.energy(x)[:3])

    def test_images(self, digits):
        images = digits.float().view(-1, 1, 8, 8)
        method = methods.MaskedAutoencoder.example(images, share=0.75)
        before = method.energy(images).mean()
        ebm.fit(method, images, steps=40, seed=0, progress=False)
        assert method.energy(images).mean() < 0.8 * before
        assert method.encode(images).shape == (len(images), 64)
        with pytest.raises(ValueError, match="patch must divide the image"):
            ebm.latent.Masks(0.5, 3).draw(images)


class TestMaskedTokens:
    def test_real_sequences_are_low_and_corrupted_ones_high(self):
        start = torch.randint(0, 5, (4000, 1))
        x = (start + torch.arange(6)) % 5  # counting up, modulo 5
        method = methods.MaskedTokens.example(x, share=0.3)
        ebm.fit(
            method, x, steps=150, seed=0, progress=False,
            optimizer=lambda method: torch.optim.Adam(method.parameters(), 3e-3),
        )  # fmt: skip
        broken = x[:200].clone()
        broken[:, 2] = (broken[:, 2] + 1) % 5
        assert (method.energy(x[:200]) < 0.5).all()
        assert (method.energy(broken) > 1.0).all()
        assert method.energy(x[:3]).shape == (3,)

    def test_tokens_are_whole_numbers(self):
        method = methods.MaskedTokens.example(torch.randint(0, 3, (5, 4)))
        with pytest.raises(TypeError, match="x must be sequences"):
            method.energy(torch.zeros(5, 4))


class TestMiniBatchKMeans:
    def test_comes_near_lloyd(self, digits):
        x = digits.float()
        exact, quick = methods.KMeans(10), methods.MiniBatchKMeans(10, rows=100)
        ebm.fit(exact, x, seed=0, progress=False)
        ebm.fit(quick, x, steps=5, seed=0, progress=False)
        assert quick.energy(x).mean() < 1.1 * exact.energy(x).mean()
        assert quick.counts.sum() % len(x) == 0

    def test_one_batch_from_fresh_counts_is_lloyds_step(self, digits):
        quick = methods.MiniBatchKMeans(10, rows=len(digits))
        quick.centers = digits[:10].clone()
        lloyd = methods.KMeans(10, start=digits[:10])
        for method in (quick, lloyd):
            method.sweep([(digits,)])
        torch.testing.assert_close(quick.centers, lloyd.centers, rtol=0, atol=1e-5)
        with pytest.raises(ValueError, match=r"Call ebm\.fit"):
            methods.MiniBatchKMeans(3).energy(digits)


class TestGradientMixture:
    @pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
    def test_has_the_energy_of_the_mixture_of_em(self, kind):
        x = _blobs(300, 3)
        exact = methods.GaussianMixture(4, covariance=RULES[kind], start=x[:4])
        for _ in range(3):
            exact.sweep([(x,)])
        method = methods.GradientMixture(exact.means, covariance=RULES[kind])
        with torch.no_grad():
            method.logits.copy_(exact.weights.log() + 3.0)
            if kind == "full":
                factor = torch.linalg.cholesky(exact.covariances.inverse().flip(-1, -2))
                factor = factor.mT.flip(-1, -2)  # L with L^T L the precision
                method.lower.copy_(factor + torch.ones_like(factor).triu())  # unused above
                method.log_diagonal.copy_(factor.diagonal(dim1=1, dim2=2).log())
            else:
                method.log_diagonal.copy_(-exact.covariances.view(4, -1).log() / 2)
        torch.testing.assert_close(method.energy(x), exact.energy(x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(method.infer(x), exact.infer(x), rtol=0, atol=1e-9)
        assert [name for name, _ in method.named_parameters()][3:] == ["lower"] * (kind == "full")

    def test_is_a_density_and_learns(self):
        x = _blobs(400, 3).float()
        method = methods.GradientMixture.example(x, components=4)
        with torch.no_grad():
            method.lower.normal_()
        factor = method.lower.tril(-1) + torch.diag_embed(method.log_diagonal.exp())
        mixture = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(logits=method.logits),
            torch.distributions.MultivariateNormal(
                method.means, precision_matrix=factor.mT @ factor
            ),
        )
        torch.testing.assert_close(method.energy(x), -mixture.log_prob(x), rtol=1e-3, atol=1e-3)
        method = methods.GradientMixture.example(x, components=4)
        before = method.energy(x).mean()
        ebm.fit(
            method, x, steps=100, batch_size=400, seed=0, progress=False,
            optimizer=lambda method: torch.optim.Adam(method.parameters(), 3e-2),
        )  # fmt: skip
        exact = methods.GaussianMixture(4)
        ebm.fit(exact, x, seed=0, progress=False)
        assert exact.energy(x).mean() - 0.05 < method.energy(x).mean() < before
        torch.testing.assert_close(method.infer(x).sum(1), torch.ones(400))
