"""Probes and metrics of representations: closed forms and known answers."""

import math

import pytest
import torch
from torch import Tensor, nn

import ebm
import methods
from ebm import evaluation, networks, terms


def blobs(n: int, seed: int = 0, spread: float = 0.1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    centers = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    return centers[labels] + spread * torch.randn(n, 4, generator=generator), labels


def test_knn_is_scikit_learns_weighted_vote() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    train, train_labels = blobs(60, 1, spread=0.8)
    test, test_labels = blobs(40, 2, spread=0.8)
    unit = [nn.functional.normalize(x.double()).numpy() for x in (train, test)]

    def vote(distance):  # |a - b|^2 = 2 - 2 cos on the sphere
        import numpy as np

        return np.exp((1 - distance**2 / 2) / 0.1)

    theirs = KNeighborsClassifier(15, weights=vote).fit(unit[0], train_labels.numpy())
    expected = float(theirs.score(unit[1], test_labels.numpy()))
    ours = evaluation.knn_accuracy(train, train_labels, test, test_labels, k=15)
    assert ours == pytest.approx(expected)
    assert 0.4 < ours < 1.0


def test_knn_weighs_near_neighbors_more() -> None:
    # One near neighbor of class 1 outvotes two far ones of class 0; unweighted it would not.
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels = torch.tensor([1, 0, 0])
    query, truth = torch.tensor([[0.95, 0.05]]), torch.tensor([1])
    assert evaluation.knn_accuracy(train, labels, query, truth) == 1.0
    assert evaluation.knn_accuracy(train, labels, query, truth, temperature=1e4) == 0.0
    assert evaluation.knn_accuracy(3 * train, labels, query, truth) == 1.0  # cosines


def test_knn_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from ebm.evaluation import knn

    train, train_labels = blobs(50, 1, spread=0.7)
    test, test_labels = blobs(33, 2, spread=0.7)
    whole = evaluation.knn_accuracy(train, train_labels, test, test_labels)
    monkeypatch.setattr(knn, "CHUNK", 100)
    assert evaluation.knn_accuracy(train, train_labels, test, test_labels) == whole


@pytest.mark.parametrize("probe", [evaluation.knn_accuracy, evaluation.linear_accuracy])
def test_probes_refuse_what_does_not_fit(probe) -> None:
    x, labels = blobs(9)
    with pytest.raises(ValueError, match="train_labels must be one label for each of the 9 rows"):
        probe(x, labels[:5], x, labels)
    with pytest.raises(ValueError, match="test_features must have 4 features"):
        probe(x, labels, x[:, :2], labels)


def test_linear_probe_reaches_the_optimum_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    train, train_labels = blobs(200, 1, spread=0.6)
    test, test_labels = blobs(300, 2, spread=0.6)
    mean, deviation = train.mean(0), train.std(0, correction=0)
    fitted = LogisticRegression(C=1 / (1e-4 * 200), tol=1e-8, max_iter=2000)
    fitted.fit(((train - mean) / deviation).numpy(), train_labels.numpy())
    expected = float(fitted.score(((test - mean) / deviation).numpy(), test_labels.numpy()))
    ours = evaluation.linear_accuracy(train, train_labels, test, test_labels)
    assert ours == pytest.approx(expected, abs=0.005)
    constant = (
        torch.cat([train, torch.ones(200, 1)], dim=1),
        torch.cat([test, torch.ones(300, 1)], 1),
    )
    assert evaluation.linear_accuracy(
        constant[0], train_labels, constant[1], test_labels
    ) == pytest.approx(ours, abs=0.005)


def test_fine_tuning_learns_and_leaves_the_encoder_alone() -> None:
    x, labels = blobs(90)
    encoder = networks.MLP([4, 16, 8])
    before = [p.clone() for p in encoder.parameters()]
    score = evaluation.fine_tuned_accuracy(
        encoder, x, labels, *blobs(60, 5), steps=60, step_size=0.01
    )
    assert score > 0.95
    assert all(torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))
    tuned = evaluation.fine_tune(encoder, x, labels, steps=60, step_size=0.01)
    assert not tuned.training
    assert not torch.equal(tuned[0](x), encoder(x))  # all weights are free
    assert float((tuned(x).argmax(1) == labels).float().mean()) > 0.95
    with pytest.raises(ValueError, match="train_labels must be one label for each of the 90"):
        evaluation.fine_tune(encoder, x, labels[:5])
    with pytest.raises(ValueError, match="encoder must have an attribute `features`"):
        evaluation.fine_tuned_accuracy(nn.Linear(4, 2), x, labels, x, labels)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_rank_me_counts_equal_singular_values(k: int) -> None:
    q, _ = torch.linalg.qr(torch.randn(40, 8, dtype=torch.float64))
    turn, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    x = q[:, :k] @ turn[:k]
    assert evaluation.rank_me(x) == pytest.approx(k, rel=1e-4)
    assert evaluation.rank_me(7 * x) == pytest.approx(k, rel=1e-4)


def test_rank_me_is_not_centered() -> None:
    x = torch.randn(200, 6, dtype=torch.float64)
    assert evaluation.rank_me(x + 1000) < 1.1 < evaluation.rank_me(x)
    # eps = 1e-5 inflates: with p = 1 + eps and (d - 1) eps, closed form for rank one.
    one = torch.outer(torch.arange(1.0, 5), torch.tensor([3.0, 4.0])).double()
    shares = torch.tensor([1 + 1e-3, 1e-3], dtype=torch.float64)
    expected = math.exp(-float((shares * shares.log()).sum()))
    assert evaluation.rank_me(one, eps=1e-3) == pytest.approx(expected, rel=1e-6)


def test_spectrum_and_participation_ratio() -> None:
    x = torch.zeros(4, 3, dtype=torch.float64)
    x[0, 0], x[1, 1] = 3.0, 2.0
    assert torch.allclose(evaluation.spectrum(x), torch.tensor([3.0, 2, 0]).double())
    # Four corners of a square: two equal eigenvalues of the covariance.
    corners = torch.tensor([[1.0, 1, 9], [1, -1, 9], [-1, 1, 9], [-1, -1, 9]])
    assert evaluation.participation_ratio(corners) == pytest.approx(2)
    assert evaluation.participation_ratio(torch.ones(4, 3)) == 0


def test_metrics_on_the_sphere_in_closed_form() -> None:
    x = torch.tensor([[1.0, 0], [0, 2], [-3, 0], [0, -4]])
    assert evaluation.alignment(x, -x) == pytest.approx(4)
    cosines = (0 + -1 + 0 + 0 + -1 + 0) / 6
    assert evaluation.mean_cosine(x) == pytest.approx(cosines)
    expected = math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6)
    assert evaluation.uniformity(x) == pytest.approx(expected)
    # Each dimension is 1, 0, -1, 0: unbiased variance 2 / 3.
    assert evaluation.sphere_deviation(x) == pytest.approx(math.sqrt(2 / 3) * math.sqrt(2))


def test_collapse_is_said_in_words() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(64, 16, generator=generator)
    one = torch.randn(1, 16, generator=generator).expand(64, 16) * 1.5
    objective = 25 * terms.Variance() + terms.NTXent(temperature=0.2) + terms.Invariance()
    bad = evaluation.collapse(objective, one, one)
    assert bad.complete
    assert set(bad.stuck) == {"variance", "nt_xent", "invariance"}
    assert "Training has collapsed: all embeddings point the same way" in str(bad)
    assert "nt_xent = 4.844 stands at its collapse value 4.844" in str(bad)
    good = evaluation.collapse(objective, spread, spread + 0.5)
    assert not good.complete
    assert not good.dimensional
    assert "No collapse" in str(good)
    assert good.terms["nt_xent"] == pytest.approx((good.terms["nt_xent"][0], math.log(127)))
    line = torch.outer(torch.randn(64, generator=generator), torch.randn(16, generator=generator))
    few = evaluation.collapse(None, line)
    assert few.dimensional
    assert "collapsed onto a few dimensions" in str(few)


def test_a_loss_of_scores_is_stuck_where_nothing_is_preferred() -> None:
    scores = torch.randn(64, 12, generator=torch.Generator().manual_seed(0)).tanh()
    for loss in (terms.Distillation(), terms.SwappedPrediction(), 2 * terms.Distillation()):
        undecided = evaluation.collapse(loss, torch.full((64, 12), 0.3), torch.full((64, 12), 0.3))
        (name,) = undecided.stuck
        assert undecided.terms[name] == pytest.approx((math.log(12), math.log(12)))
        assert "2.485 stands at its collapse value 2.485" in str(undecided)
        assert evaluation.collapse(loss, scores, scores).stuck == []


class Centers(ebm.Method):
    """Two classes of points around (1, 0) and (0, 1), which stay where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.energy = ebm.energies.Quadratic()

    def encode(self, x: Tensor) -> Tensor:
        return x

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {"own": (x * self.scale).square().sum(1)}


def test_online_probes_see_a_batch_after_they_were_asked_and_learn_it() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (512,), generator=generator)
    x = torch.eye(2)[labels] + 0.1 * torch.randn(512, 2, generator=generator)
    probed = evaluation.Probed(Centers(), classes=2, features=2, size=64, k=9)
    found = probed.terms(x[:32], labels[:32])
    assert list(found) == ["own", "probe", "probe_error", "knn_error"]
    # No neighbor is known yet, so everyone is taken for class 0.
    assert torch.equal(found["knn_error"], labels[:32].float())
    probed.recent.commit()
    probed.recent_labels.commit()
    known = torch.nn.functional.normalize(x[:32]), labels[:32]
    asked = torch.nn.functional.normalize(x[32:64])
    guesses = evaluation.knn.nearest_classes(*known, asked, classes=2, k=9, temperature=0.1)
    found = probed.terms(x[32:64], labels[32:64])
    assert torch.equal(found["knn_error"], (guesses != labels[32:64]).float())
    assert float(found["knn_error"].mean()) < 0.1
    history = ebm.fit(probed, (x, labels), steps=300, batch_size=64, seed=0, progress=False)
    assert sum(history["knn_error"][-10:]) < 0.2
    assert sum(history["probe_error"][-10:]) < 0.2
    assert history["probe"][-1] < 0.7 * history["probe"][0]


@pytest.mark.parametrize("cls", [methods.BYOL, methods.DeepCluster])
def test_online_probes_leave_the_method_alone(cls: type[ebm.Method]) -> None:
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(7))
    inputs, made = cls.example_inputs(x)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    ends = []
    for probe in (False, True):
        torch.manual_seed(0)
        method = cls.example(x)
        data = (*inputs, torch.arange(64) % 3) if probe else inputs
        trained = evaluation.Probed(method, classes=3, features=128, size=64) if probe else method
        ebm.fit(trained, data, views=made, steps=5, batch_size=32, seed=1, progress=False)
        ends.append({k: v.clone() for k, v in method.state_dict().items()})
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    assert trained.encode(x).shape == (64, 128)
    assert trained.energy(x[:3], x[:3]).shape == (3,)
    with pytest.raises(TypeError, match="method must have encode"):
        evaluation.Probed(methods.ScoreMatching.example(x), classes=3, features=2)
