"""The joint-embedding methods: their losses, their state, and what training does."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import ebm
import methods
from ebm import Method, networks, terms, views
from ebm.memory import Bank, Center, Constant, Queue, Teacher, rising

ALL = [
    methods.BYOL,
    methods.BarlowTwins,
    methods.DCL,
    methods.DINO,
    methods.DeepCluster,
    methods.InstanceDiscrimination,
    methods.MoCo,
    methods.MoCoV3,
    methods.PIRL,
    methods.SeLA,
    methods.SimCLR,
    methods.SimSiam,
    methods.SwAV,
    methods.TiCo,
    methods.VICReg,
    methods.WMSE,
]
POINTS = torch.randn(64, 2, generator=torch.Generator().manual_seed(7))
PAIRS = (POINTS, POINTS + 0.1)
IMAGES = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize("data", [POINTS, PAIRS, IMAGES], ids=["points", "pairs", "images"])
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_examples_train_score_and_encode(cls: type[Method], data) -> None:
    method = cls.example(data)
    inputs, made = cls.example_inputs(data)
    before = [p.detach().clone() for p in method.parameters() if p.requires_grad]
    history = ebm.fit(method, inputs, steps=2, batch_size=32, views=made, seed=0, progress=False)
    assert all(bool(torch.tensor(history[name]).isfinite().all()) for name in history.names)
    after = [p for p in method.parameters() if p.requires_grad]
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert all(moved), "a parameter got no gradient"
    method.eval()
    x = data[0] if isinstance(data, tuple) else data
    pair = method.energy(x[:5], x[5:10])
    assert pair.shape == (5,)
    looped = torch.cat([method.energy(x[i : i + 1], x[5 + i : 6 + i]) for i in range(5)])
    assert torch.allclose(pair, looped, atol=1e-4)
    assert method.encode(x[:5]).shape == (5, 128)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_encoder_is_exported(cls: type[Method], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    method, fresh = cls.example(POINTS).eval(), networks.encoder_for(POINTS)
    fresh.load_state_dict(load_file(ebm.save_encoder(method, tmp_path / "encoder.safetensors")))
    assert torch.equal(fresh.eval()(POINTS), method.encode(POINTS))


# State: queue, bank, teacher, center and normalizer are written after the step was scored.


def test_the_queue_is_read_before_it_is_written() -> None:
    queue, x, y = Queue(12, 3), torch.randn(5, 3), torch.randn(5, 3)
    method = methods.MoCo(nn.Identity(), queue=queue, temperature=0.2)
    noise = queue.rows.clone()
    value = method.terms(x, y)["info_nce"]
    expected = terms.InfoNCE(temperature=0.2)(x, y, noise)
    assert torch.allclose(value, expected)
    assert torch.equal(queue.rows, noise)
    # Were the positive among its own negatives, no loss could be below log 2.
    assert float(terms.InfoNCE(temperature=0.05)(x, x, noise).min()) < math.log(2) / 2
    queue.commit()
    assert torch.allclose(queue.rows[:5], functional.normalize(y, dim=-1))
    assert torch.equal(queue.rows[5:], noise[5:])


def test_the_queue_is_a_ring() -> None:
    queue = Queue(5, 1)
    for start in (0, 3, 6):
        queue.stage(torch.arange(start, start + 3.0)[:, None])
        queue.commit()
    assert queue.rows.flatten().tolist() == [5.0, 6.0, 7.0, 8.0, 4.0]
    assert int(queue.cursor) == 4
    queue.commit()  # nothing staged, nothing written
    assert int(queue.cursor) == 4
    queue.stage(torch.zeros(6, 1))
    with pytest.raises(ValueError, match="size must be at least the batch, got size=5 and 6"):
        queue.commit()


def test_the_bank_moves_memories_and_spares_the_own() -> None:
    bank = Bank(6, 2, momentum=0.25)
    before = bank.rows.clone()
    new = functional.normalize(torch.randn(2, 2), dim=-1)
    bank.stage(torch.tensor([4, 1]), new)
    assert torch.equal(bank.rows, before)
    bank.commit()
    mixed = functional.normalize(0.25 * before[[4, 1]] + 0.75 * new, dim=-1)
    assert torch.allclose(bank.rows[[4, 1]], mixed)
    assert torch.equal(bank.rows[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    bank.rows.copy_(torch.arange(6.0)[:, None].expand(6, 2))
    drawn = bank.others(torch.tensor([0, 3, 5]), 3000)[..., 0]
    for row, own in zip(drawn, (0, 3, 5), strict=True):
        counts = row.long().bincount(minlength=6)
        assert counts[own] == 0
        assert int(counts.sum()) == 3000
        assert torch.allclose(counts[counts > 0] / 3000, torch.full((5,), 0.2), atol=0.04)
    with pytest.raises(ValueError, match="indices must be below the size of the bank, 6, got 6"):
        bank.others(torch.tensor([6]), 2)


def test_the_teacher_follows_slowly() -> None:
    student = nn.Sequential(nn.Linear(2, 3), networks.BatchNorm(3))
    for buffers in (False, True):
        teacher = Teacher(student, momentum=0.75, buffers=buffers)
        start = [p.clone() for p in teacher.network.parameters()]
        with torch.no_grad():
            for p in student.parameters():
                p.add_(1.0)
            student[1].running_mean.fill_(5.0)
        assert not teacher(torch.randn(4, 2)).requires_grad
        teacher.stage(student)
        assert all(
            torch.equal(a, b) for a, b in zip(start, teacher.network.parameters(), strict=True)
        )
        teacher.commit()
        for a, b in zip(start, teacher.network.parameters(), strict=True):
            assert torch.allclose(b, a + 0.25)
        assert bool((teacher.network[1].running_mean == 5.0).all()) == buffers
        teacher.stage(student, 0.0)
        teacher.commit()
        for a, b in zip(student.parameters(), teacher.network.parameters(), strict=True):
            assert torch.allclose(a, b)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert [rising(0.99, t) for t in (0.0, 0.5, 1.0)] == pytest.approx([0.99, 0.995, 1.0])


def test_center_and_constant() -> None:
    center = Center(2, momentum=0.9)
    center.stage(torch.tensor([1.0, -2.0]))
    assert torch.equal(center.value, torch.zeros(2))
    center.commit()
    assert torch.allclose(center.value, torch.tensor([0.1, -0.2]))
    constant = Constant()
    assert float(constant(torch.tensor(3.0))) == 3.0
    for value in (3.0, 7.0):
        constant.stage(torch.tensor(value))
        constant.commit()
    assert float(constant(torch.tensor(9.0))) == 3.0


# Losses of the methods that hold state, against their equations.


def identity(cls: type[Method], **hyper: object) -> Method:
    return cls(nn.Identity(), **hyper)


def cosines(x: Tensor, y: Tensor) -> Tensor:
    return functional.normalize(x, dim=-1) @ functional.normalize(y, dim=-1).T


def test_moco_v3_is_both_directions_times_twice_the_temperature() -> None:
    x, y = torch.randn(2, 6, 3)
    method = methods.MoCoV3(nn.Identity(), temperature=0.3)
    found = sum(value.mean() for value in method.terms(x, y).values())
    labels, scores = torch.arange(6), cosines(x, y) / 0.3
    one = functional.cross_entropy(scores, labels) + functional.cross_entropy(scores.T, labels)
    assert float(found) == pytest.approx(2 * 0.3 * float(one), rel=1e-5)


def test_instance_discrimination_is_nce_with_the_first_normalizer() -> None:
    torch.manual_seed(3)
    x, indices = torch.randn(4, 3), torch.tensor([5, 0, 9, 2])
    method = methods.InstanceDiscrimination(nn.Identity(), bank=Bank(10, 3), negatives=7)

    def nce(log_z: Tensor | None) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        others, own = method.bank.others(indices, 7), method.bank.rows[indices]
        z = functional.normalize(x, dim=-1)
        scores = torch.cat([(z * own).sum(1)[:, None], (others * z[:, None]).sum(-1)], 1) / 0.07
        log_z = math.log(10) + scores.exp().mean().log() if log_z is None else log_z
        p = (scores - log_z).exp()
        h = p / (p + 7 / 10)
        return -h[:, 0].log() - (1 - h[:, 1:]).log().sum(1), log_z

    expected, log_z = nce(None)
    torch.manual_seed(1)
    found = method.terms(x, indices)["instance_contrast"]
    assert torch.allclose(found, expected, rtol=1e-4)
    for memory in (method.bank, method.log_normalizer):
        memory.commit()
    assert float(method.log_normalizer.value) == pytest.approx(float(log_z), rel=1e-5)
    later, _ = nce(log_z)  # the bank moved, Z did not
    torch.manual_seed(1)
    assert torch.allclose(method.terms(x, indices)["instance_contrast"], later, rtol=1e-3)


def test_pirl_moves_the_bank_by_the_example_alone() -> None:
    bank = Bank(8, 3)
    method = methods.PIRL(*[nn.Identity()] * 3, nn.Linear(6, 3), bank=bank, negatives=5)
    x, patches, indices = torch.randn(4, 3), torch.randn(4, 2, 3), torch.arange(4)
    before = bank.rows.clone()
    values = method.terms(x, patches, indices)
    assert list(values) == ["patches", "examples"]
    bank.commit()
    unit = functional.normalize(x, dim=-1)
    expected = functional.normalize(before[:4] + unit, dim=-1)
    assert torch.allclose(bank.rows[:4], expected, atol=1e-6)


def test_pirl_sets_image_and_patches_against_the_memory_of_the_image() -> None:
    torch.manual_seed(3)
    mixer = nn.Linear(6, 3)
    method = methods.PIRL(
        *[nn.Identity()] * 3, mixer, bank=Bank(8, 3), negatives=5, patches_weight=0.25
    )
    x, patches, indices = torch.randn(4, 3), torch.randn(4, 2, 3), torch.tensor([6, 1, 3, 0])
    torch.manual_seed(1)
    others, own = method.bank.others(indices, 5), method.bank.rows[indices]

    def scores(z: Tensor) -> Tensor:
        z = functional.normalize(z, dim=-1)
        return torch.cat([(z * own).sum(1)[:, None], (others * z[:, None]).sum(-1)], 1) / 0.07

    of_patches, of_images = scores(mixer(patches.flatten(1))), scores(x)
    z = 8 * of_patches.exp().mean()  # one normalizer, from the patches, which come first

    def nce(scores: Tensor) -> Tensor:
        h = scores.exp() / z / (scores.exp() / z + 5 / 8)
        return -h[:, 0].log() - (1 - h[:, 1:]).log().sum(1)

    torch.manual_seed(1)
    found = method.terms(x, patches, indices)
    assert torch.allclose(found["patches"], 0.25 * nce(of_patches), rtol=1e-4)
    assert torch.allclose(found["examples"], 0.75 * nce(of_images), rtol=1e-4)


@pytest.mark.parametrize(
    ("method", "objective"),
    [
        (methods.SimCLR(nn.Identity(), temperature=0.3), terms.NTXent(temperature=0.3)),
        (methods.DCL(nn.Identity(), temperature=0.3), terms.Decoupled(temperature=0.3)),
        (
            methods.DCL.weighted(nn.Identity(), temperature=0.3, spread=0.4),
            terms.Decoupled(temperature=0.3, spread=0.4),
        ),
        (
            methods.BarlowTwins(nn.Identity(), off_diagonal_weight=0.2),
            terms.CrossCorrelation(off_diagonal_weight=0.2),
        ),
        (methods.WMSE(nn.Identity(), size=None, eps=0.1), terms.Whitening(eps=0.1)),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_has_no_state_is_its_term_of_the_embeddings(
    method: Method, objective: ebm.Energy
) -> None:
    method.projector = nn.Linear(3, 4)
    x, y = torch.randn(2, 12, 3)
    found = torch.stack([v.mean() for v in method.terms(x, y).values()]).sum()
    assert torch.allclose(found, objective(method.projector(x), method.projector(y)).mean())


@pytest.mark.parametrize(
    ("build", "rises"),
    [
        (lambda: methods.MoCo(nn.Linear(3, 3), queue=Queue(8, 3), momentum=0.8), False),
        (lambda: methods.MoCoV3(nn.Linear(3, 3), momentum=0.8), True),
        (lambda: methods.BYOL(nn.Linear(3, 3), momentum=0.8), True),
        (lambda: methods.TiCo(nn.Linear(3, 3), dim=3, momentum=0.8), True),
        (
            lambda: methods.DINO(
                nn.Linear(3, 3), nn.Identity(), networks.Prototypes(3, 5), momentum=0.8
            ),
            True,
        ),
    ],
    ids=["MoCo", "MoCoV3", "BYOL", "TiCo", "DINO"],
)
def test_the_teachers_momentum_is_that_of_the_step(build, rises: bool) -> None:
    method = build()
    method.progress = 0.25
    stay = rising(0.8, 0.25) if rises else 0.8
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(1.0)
    before = [p.clone() for p in method.teacher.network.parameters()]
    method.terms(*torch.randn(2, 6, 3))
    method.teacher.commit()
    after, student = method.teacher.network.parameters(), method.student.parameters()
    for old, new, goal in zip(before, after, student, strict=True):
        assert torch.allclose(new, stay * old + (1 - stay) * goal, atol=1e-6)


def test_byol_adds_both_directions() -> None:
    x, y = torch.randn(2, 6, 3)
    method = methods.BYOL(nn.Linear(3, 3), nn.Identity(), nn.Linear(3, 3))
    with torch.no_grad():
        method.student[0].weight.mul_(2.0).add_(0.1)  # the teacher stays behind
    found = sum(v.mean() for v in method.terms(x, y).values())
    predicted = [method.predictor(method.student(v)) for v in (x, y)]
    targets = [method.teacher(v) for v in (y, x)]
    cosine = sum(cosines(a, b).diag() for a, b in zip(predicted, targets, strict=True))
    assert torch.allclose(found, (4 - 2 * cosine).mean(), atol=1e-6)


def test_tico_pays_along_the_directions_used() -> None:
    x, y = torch.randn(2, 6, 3)
    method = methods.TiCo(nn.Identity(), dim=3, covariance_weight=8.0)
    z = functional.normalize(x, dim=-1)
    first = method.terms(x, y)
    moment = z.T @ z / 6
    assert torch.allclose(first["covariance"], 8 * ((z @ (0.1 * moment)) * z).sum(1), atol=1e-5)
    assert torch.allclose(first["invariance"], 1 - cosines(x, y).diag(), atol=1e-5)
    method.covariance.commit()
    assert torch.allclose(method.covariance.value, 0.1 * moment, atol=1e-6)
    second = method.terms(x, y)["covariance"]
    assert torch.allclose(second, 8 * ((z @ (0.19 * moment)) * z).sum(1), atol=1e-5)


def test_byol_and_simsiam_stop_the_target() -> None:
    x, y = torch.randn(2, 6, 3)
    byol = methods.BYOL(nn.Linear(3, 3), nn.Identity(), nn.Linear(3, 3))
    sum(v.mean() for v in byol.terms(x, y).values()).backward()
    assert all(p.grad is None for p in byol.teacher.parameters())
    assert all(p.grad is not None for p in byol.student.parameters())
    method = methods.SimSiam(nn.Linear(3, 3), nn.Identity(), nn.Linear(3, 3))
    z = [method.embed(v).detach() for v in (x, y)]
    loss = sum(v.mean() for v in method.terms(x, y).values())
    (found,) = torch.autograd.grad(loss, method.encoder.weight)
    by_hand = (
        -functional.cosine_similarity(method.predictor(method.embed(x)), z[1]).mean() / 2
        - functional.cosine_similarity(method.predictor(method.embed(y)), z[0]).mean() / 2
    )
    (expected,) = torch.autograd.grad(by_hand, method.encoder.weight)
    assert torch.allclose(found, expected, atol=1e-6)


def test_dino_centers_after_the_loss() -> None:
    x, y = torch.randn(2, 6, 3)
    method = methods.DINO(nn.Identity(), nn.Identity(), networks.Prototypes(3, 5))
    value = method.terms(x, y)["distillation"]
    t, s = (method.teacher(v) for v in (x, y)), [method.student(v) for v in (x, y)]
    t = list(t)
    p = [(v / 0.04).softmax(1) for v in t]
    logs = [(v / 0.1).log_softmax(1) for v in s]
    expected = -((p[0] * logs[1]).sum(1) + (p[1] * logs[0]).sum(1)) / 2
    assert torch.allclose(value, expected, atol=1e-5)
    assert torch.equal(method.center.value, torch.zeros(5))
    method.center.commit()
    assert torch.allclose(method.center.value, 0.1 * torch.cat(t).mean(0), atol=1e-6)


@pytest.mark.parametrize("cls", [methods.DINO, methods.SwAV])
def test_frozen_prototypes_do_not_learn(cls: type[Method]) -> None:
    prototypes = networks.Prototypes(3, 5)
    method = cls(nn.Linear(3, 3), nn.Identity(), prototypes, frozen_steps=2)
    for step, learns in ((0, False), (1, False), (2, True)):
        method.step = step
        method.zero_grad()
        sum(v.mean() for v in method.terms(*torch.randn(2, 6, 3)).values()).backward()
        assert (prototypes.weight.grad is not None) == learns


def test_swav_balances_with_its_queues() -> None:
    queues = (Queue(9, 3), Queue(9, 3))
    method = methods.SwAV(
        nn.Identity(), nn.Identity(), networks.Prototypes(3, 4), queues=queues, queue_after=0.5
    )
    x, y = torch.randn(2, 6, 3)
    plain = method.terms(x, y)["swapped_prediction"]
    method.progress = 0.6
    scores = [method.prototypes(v) for v in (x, y)]
    codes = [
        terms.sinkhorn(torch.cat([method.prototypes(q.rows), s]))[9:]
        for q, s in zip(queues, scores, strict=True)
    ]
    expected = method.objective.predicted(scores, codes)
    found = method.terms(x, y)["swapped_prediction"]
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-3)
    queues[1].commit()
    assert torch.allclose(queues[1].rows[:6], functional.normalize(y, dim=-1), atol=1e-6)


def batches_of(*data: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(x.split(20) for x in data), strict=True))


def test_deep_cluster_predicts_the_nearest_centroids() -> None:
    x = torch.randn(60, 3)
    method = methods.DeepCluster(nn.Identity(), dim=3, examples=60, clusters=(4, 7))
    shuffled = torch.randperm(60)
    method.sweep(batches_of(x[shuffled], shuffled))
    for head, count in enumerate((4, 7)):
        centroids = getattr(method, f"centroids_{head}")
        assert torch.allclose(centroids.norm(dim=1), torch.ones(count), atol=1e-5)
        assert torch.equal(method.assignments[head], cosines(x, centroids).argmax(1))
        assert len(method.assignments[head].unique()) == count
    value = method.terms(x[:5], x[:5], torch.arange(5))["cluster"]
    expected = [
        functional.cross_entropy(
            cosines(x[:5], getattr(method, f"centroids_{h}")) / 0.1,
            method.assignments[h, :5],
            reduction="none",
        )
        for h in range(2)
    ]
    assert torch.allclose(value, torch.stack(expected).mean(0), atol=1e-5)
    assert torch.allclose(method.energy(x[:5], x[:5]), value, atol=1e-5)


def test_sela_uses_all_labels_alike() -> None:
    x = torch.randn(60, 3)
    skewed = nn.Linear(3, 4)
    with torch.no_grad():
        skewed.bias.copy_(torch.tensor([9.0, 0, 0, 0]))  # the plain argmax would be label 0
    method = methods.SeLA(nn.Identity(), skewed, examples=60)
    method.sweep(batches_of(x, torch.arange(60)))
    assert method.assignments[0].bincount(minlength=4).tolist() == pytest.approx([15] * 4, abs=2)
    assert int((skewed(x).argmax(1) == 0).sum()) > 45
    with pytest.raises(ValueError, match="heads must be at least one"):
        methods.SeLA(nn.Identity(), examples=3)


def test_conventions_of_vicreg() -> None:
    x, y = torch.randn(2, 16, 8)
    official, solo, paper = (
        {k: float(v.mean()) for k, v in build(nn.Identity()).terms(x, y).items()}
        for build in (methods.VICReg, methods.VICReg.solo, methods.VICReg.paper)
    )
    assert solo["variance"] == pytest.approx(2 * official["variance"])
    assert solo["invariance"] == pytest.approx(official["invariance"])
    assert paper["variance"] == pytest.approx(2 * official["variance"])
    assert paper["invariance"] == pytest.approx(8 * official["invariance"])
    assert paper["covariance"] == pytest.approx(official["covariance"])


def test_views_of_more_than_two_kinds_reach_dino_and_swav() -> None:
    crops = views.multi_crop(8, 4, crops=2)
    for cls in (methods.DINO, methods.SwAV):
        method = cls.example(IMAGES)
        history = ebm.fit(
            method, IMAGES, steps=1, batch_size=16, views=crops, seed=0, progress=False
        )
        assert len(history) == 1


class Stop(RuntimeError):
    pass


STATEFUL = [
    methods.MoCo,
    methods.DINO,
    methods.TiCo,
    methods.BYOL,
    methods.MoCoV3,
    methods.InstanceDiscrimination,
    methods.PIRL,
    methods.SwAV,
    methods.DeepCluster,
    methods.SeLA,
]


@pytest.mark.parametrize("cls", STATEFUL, ids=lambda cls: cls.__name__)
def test_resuming_is_bit_exact(cls: type[Method], tmp_path: Path) -> None:
    inputs, made = cls.example_inputs(POINTS)
    hyper = {"size": 96} if cls is methods.SwAV else {}

    def build() -> Method:
        torch.manual_seed(0)
        return cls.example(POINTS, **hyper)

    settings = {"steps": 8, "batch_size": 16, "seed": 1, "progress": False, "save_every": 3}
    straight = build()
    ebm.fit(straight, inputs, views=made, out=tmp_path / "a", **settings)
    calls = 0

    def failing(*batch: Tensor):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise Stop
        return made(*batch)

    with pytest.raises(Stop):
        ebm.fit(build(), inputs, views=failing, out=tmp_path / "b", **settings)
    resumed = build()
    ebm.fit(resumed, inputs, views=made, out=tmp_path / "b", resume=True, **settings)
    for (name, a), b in zip(
        straight.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


@pytest.mark.slow
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_training_improves_neighbors_of_real_digits(cls: type[Method]) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images).float()[:, None] / 16
    labels = torch.tensor(digits.target)
    train, test = images[:1400], images[1400:]
    torch.manual_seed(0)
    method = cls.example(train)

    def accuracy() -> float:
        method.eval()
        with torch.no_grad():
            found = [method.encode(x) for x in (train, test)]
        return ebm.evaluation.knn_accuracy(found[0], labels[:1400], found[1], labels[1400:])

    before = accuracy()
    data, made = cls.example_inputs((train, labels[:1400]))
    ebm.fit(method, data, steps=300, batch_size=128, views=made, seed=0, progress=False)
    assert accuracy() > before + 0.02


def test_one_view_is_refused_with_the_cure():
    x = torch.randn(8, 2)
    with pytest.raises(ValueError, match=r"batch must match VICReg\.terms\(x, y\), got 1"):
        ebm.fit(methods.VICReg.example(x), x, steps=1)
