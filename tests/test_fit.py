"""The one loop: data in, history out, nothing saved lost, nothing repaired silently."""

import json
import math
import pickle
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import ebm
import methods
from ebm import metrics
from ebm.training import seal
from ebm.training.checkpoint import checkpoints
from ebm.training.history import History


class Fit(ebm.Method):
    """Two named terms, dropout and batch order: everything that a resume could get wrong."""

    def __init__(self, dim=2, hidden=8):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.Dropout(0.2), nn.Linear(hidden, 1))
        self.register_buffer("average", torch.zeros(()))

    def energy(self, x):
        return (self.net(x).squeeze(-1) - x[:, 0]).square()

    def terms(self, x):
        noise = 0.1 * torch.randn_like(x)
        return {"fit": self.energy(x + noise), "weight": 0.01 * self.net[0].weight.square().sum()}

    def after_step(self):
        self.average.mul_(0.9).add_(0.1 * self.net[2].bias.detach().mean())


class Mean(ebm.Method):
    """Learns by sweeps alone: the mean of the data in one pass."""

    def __init__(self):
        super().__init__()
        self.register_buffer("center", torch.zeros(2))
        self.passes = 0

    def energy(self, x):
        return (x - self.center).square().sum(-1)

    def terms(self, x):
        return {"distance": self.energy(x)}

    def sweep(self, batches):
        self.passes += 1
        x = torch.cat([x for (x,) in batches])
        value = self.energy(x).mean()
        self.center.copy_(x.mean(0))
        return {"distance": value}


class Pair(Fit):
    def terms(self, x, y):
        return {"pair": (self.net(x) - self.net(y)).square().sum(-1)}


def make():
    torch.manual_seed(3)
    return Fit()


X = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
QUIET = {"progress": False, "seed": 7, "batch_size": 16}


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_fit_lowers_the_terms_and_names_them():
    history = ebm.fit(make(), X, steps=300, **QUIET)
    assert history.names == ["fit", "weight"]
    assert len(history) == 300
    assert history["fit"][-50:].mean() < 0.5 * history["fit"][:50].mean()
    np.testing.assert_allclose(history.total, history["fit"] + history["weight"])


def test_same_seed_same_run():
    a = ebm.fit(make(), X, steps=20, **QUIET)
    model = make()
    torch.manual_seed(12345)  # the run draws from its own seed alone
    b = ebm.fit(model, X, steps=20, **QUIET)
    c = ebm.fit(make(), X, steps=20, **{**QUIET, "seed": 8})
    assert np.array_equal(a.total, b.total)
    assert not np.array_equal(a.total, c.total)


def test_fit_leaves_the_callers_random_state():
    model = make()
    state = torch.get_rng_state()
    ebm.fit(model, X, steps=3, **QUIET)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["tensor", "dataset", "loader", "iterable"])
def test_resume_is_bit_exact_from_the_middle_of_an_epoch(tmp_path, kind):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(X)

    def data():
        return {
            "tensor": X,
            "dataset": TensorDataset(X),
            "loader": DataLoader(TensorDataset(X), batch_size=16, shuffle=True),
            "iterable": Stream(),
        }[kind]

    whole = make()
    expected = ebm.fit(whole, data(), steps=29, **QUIET)
    ebm.fit(make(), data(), steps=15, out=tmp_path, save_every=4, **QUIET)
    again = make()
    options = {**QUIET, "seed": None}
    history = ebm.fit(again, data(), steps=29, out=tmp_path, resume=True, **options)
    assert history.steps == list(range(1, 30))
    assert history.seed == 7  # from the checkpoint
    assert np.array_equal(history["fit"], expected["fit"])
    assert np.array_equal(history["weight"], expected["weight"])
    assert states_equal(whole, again)


def test_the_folder_holds_metrics_recipe_and_the_last_checkpoints(tmp_path):
    model = make()
    history = ebm.fit(model, X, steps=20, out=tmp_path, save_every=3, log_every=5, **QUIET)
    read = History.read(tmp_path / "metrics.csv")
    assert read.steps == history.steps
    assert read.columns == history.columns
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["method"] == "Fit"
    assert facts["seed"] == 7
    assert facts["step"] == 20
    assert facts["device"] == "cpu" or facts["device"].startswith("cuda")
    assert "torch" in facts["versions"]
    names = [p.name for p in checkpoints(tmp_path / "checkpoints")]
    assert names == ["step-000000015.pt", "step-000000018.pt", "step-000000020.pt"]
    assert states_equal(ebm.load(tmp_path, into=make()), model)
    assert not list(tmp_path.rglob("*.part"))


class Watched(Fit):
    def terms(self, x):
        if self.step % 2:
            metrics.note("largest", x.abs().max())
        return super().terms(x)


def test_metrics_are_kept_beside_the_terms_and_never_minimized(tmp_path):
    torch.manual_seed(3)
    model = Watched()
    history = ebm.fit(model, X, steps=6, out=tmp_path / "a", save_every=2, **QUIET)
    assert history.names == ["fit", "weight"]
    assert np.array_equal(history.total, history["fit"] + history["weight"])
    assert np.isfinite(history["largest"]).tolist() == [False, True] * 3
    read = History.read(tmp_path / "a/metrics.csv")
    assert np.array_equal(read["largest"], history["largest"], equal_nan=True)
    assert read.names == history.names
    torch.manual_seed(3)
    plain = Fit()
    ebm.fit(plain, X, steps=6, **QUIET)
    assert states_equal(plain, model)
    torch.manual_seed(3)
    ebm.fit(Watched(), X, steps=4, out=tmp_path / "b", save_every=2, **QUIET)
    ebm.fit(Watched(), X, steps=6, out=tmp_path / "b", save_every=2, resume=True, **QUIET)
    files = [(tmp_path / name / "metrics.csv").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_a_metric_that_is_not_finite_does_not_stop_a_run():
    class Odd(Fit):
        def terms(self, x):
            metrics.note("odd", x.sum() * math.inf)
            return super().terms(x)

    history = ebm.fit(Odd(), X, steps=2, **QUIET)
    assert not np.isfinite(history["odd"]).any()


def test_nothing_is_noted_where_nobody_watches():
    metrics.note("alone", torch.ones(()))
    with metrics.watching() as outer, metrics.watching() as inner:
        metrics.note("once", torch.ones(()))
    assert (outer, list(inner)) == ({}, ["once"])
    assert not metrics.watched()


def test_out_must_not_hold_another_run(tmp_path):
    ebm.fit(make(), X, steps=2, out=tmp_path, **QUIET)
    with pytest.raises(ValueError, match=r"out must not hold another run.*Pass resume=True"):
        ebm.fit(make(), X, steps=2, out=tmp_path, **QUIET)


def test_out_must_be_writable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"out must be a folder that can be written"):
        ebm.fit(make(), X, steps=2, out=tmp_path / "file", **QUIET)


def test_a_write_that_fails_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    ebm.fit(make(), X, steps=4, out=tmp_path, **QUIET)

    class FullDisk(seal._Tee):
        def write(self, data):
            if self.file.tell() + len(data) > 1_000:
                self.error = OSError(28, "No space left on device")
                raise self.error
            return super().write(data)

    monkeypatch.setattr(seal, "_Tee", FullDisk)
    with pytest.raises(
        ebm.Fault, match=r"No space left on device .*step-000000004\.pt.*resume=True"
    ):
        ebm.fit(make(), X, steps=8, out=tmp_path, resume=True, **QUIET)
    monkeypatch.undo()
    assert [p.name for p in checkpoints(tmp_path / "checkpoints")] == ["step-000000004.pt"]
    assert not list(tmp_path.rglob("*.part"))
    whole, again = make(), make()
    ebm.fit(whole, X, steps=8, **QUIET)
    ebm.fit(again, X, steps=8, out=tmp_path, resume=True, **QUIET)
    assert states_equal(whole, again)


class Explodes(Fit):
    def terms(self, x):
        values = super().terms(x)
        if self.step == 6:
            values["weight"] = values["weight"] * float("inf")
        return values


def test_a_term_that_is_not_finite_stops_the_run_and_names_itself(tmp_path):
    torch.manual_seed(3)
    with pytest.raises(ebm.Divergence, match=r"weight must be finite, got inf at step 7") as caught:
        ebm.fit(Explodes(), X, steps=20, out=tmp_path, save_every=2, **QUIET)
    assert (caught.value.step, caught.value.term) == (7, "weight")
    assert "step-000000006.pt" in str(caught.value)
    assert History.read(tmp_path / "metrics.csv").steps == [1, 2, 3, 4, 5, 6]
    model = ebm.load(tmp_path, into=Explodes())
    assert all(p.isfinite().all() for p in model.parameters())
    assert model.step == 6


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    class Silent(Fit):
        def after_step(self):
            if self.step == 3:
                self.average.fill_(float("nan"))

    with pytest.raises(ebm.Divergence, match=r"average must be finite, got nan at step 4"):
        ebm.fit(Silent(), X, steps=4, out=tmp_path, **QUIET)
    assert checkpoints(tmp_path / "checkpoints") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_and_saves(tmp_path, number):
    class Interrupted(Fit):
        def terms(self, x):
            if self.step == 4 and not hasattr(self, "done"):
                self.done = True
                signal.raise_signal(number)
            return super().terms(x)

    torch.manual_seed(3)
    whole = Interrupted()
    whole.done = True
    expected = ebm.fit(whole, X, steps=9, **QUIET)
    torch.manual_seed(3)
    model = Interrupted()
    handler = signal.getsignal(number)
    error = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with pytest.raises(error):
        ebm.fit(model, X, steps=9, out=tmp_path, **QUIET)
    assert signal.getsignal(number) is handler
    assert checkpoints(tmp_path / "checkpoints")[-1].name == "step-000000005.pt"
    history = ebm.fit(model, X, steps=9, out=tmp_path, resume=True, **QUIET)
    assert np.array_equal(history.total, expected.total)
    assert states_equal(whole, model)


def test_a_method_without_parameters_learns_by_sweeps_until_it_converges(tmp_path):
    method = Mean()
    history = ebm.fit(method, X, out=tmp_path, **QUIET)
    torch.testing.assert_close(method.center, X.mean(0))
    assert method.passes == 3  # the start, the mean, and one that changes nothing
    assert len(history) == 3
    assert np.all(np.diff(history.total) <= 0)
    assert torch.equal(ebm.load(tmp_path, into=Mean()).center, method.center)
    again = Mean()
    ebm.fit(again, X, steps=1, **QUIET)
    assert again.passes == 1


def test_a_sweep_comes_before_each_epoch():
    class Both(Fit):
        def __init__(self):
            super().__init__()
            self.sweeps = []

        def sweep(self, batches):
            self.sweeps.append((self.step, sum(len(x) for (x,) in batches)))

    method = Both()
    ebm.fit(method, X, steps=13, **QUIET)  # six batches of 16 in an epoch of 100
    assert method.sweeps == [(0, 100), (6, 100), (12, 100)]


def test_nothing_to_train_is_said():
    class Nothing(ebm.Method):
        def terms(self, x):
            return {"zero": x.sum(-1)}

    with pytest.raises(ValueError, match=r"trainable parameters or a sweep, got Nothing"):
        ebm.fit(Nothing(), X, **QUIET)


def test_memory_is_written_after_the_step_was_scored():
    class Remembers(Fit):
        def __init__(self):
            super().__init__()
            self.replay = ebm.memory.Replay(64, restart=0.0)
            self.seen = []

        def terms(self, x):
            chains, slots = self.replay.draw(x)
            self.seen.append(int(self.replay.filled))
            self.replay.stage(slots, chains + 1)
            return super().terms(x)

    method = Remembers()
    ebm.fit(method, X, steps=3, **QUIET)
    assert method.seen == [0, 16, 32]
    assert int(method.replay.filled) == 48


def test_step_and_progress_count():
    class Counts(Fit):
        seen = ()

        def terms(self, x):
            self.seen = (*self.seen, (self.step, self.progress))
            return super().terms(x)

    method = Counts()
    ebm.fit(method, X, steps=4, **QUIET)
    assert method.seen == ((0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75))
    assert (method.step, method.progress) == (4, 1.0)


@pytest.mark.parametrize(
    "data",
    [X.numpy().astype(np.float64), (X,), [X], TensorDataset(X), DataLoader(TensorDataset(X), 16)],
    ids=["float64 array", "tuple", "list", "dataset", "loader"],
)
def test_data_of_every_kind(data):
    history = ebm.fit(make(), data, steps=3, **QUIET)
    assert np.isfinite(history.total).all()


def test_every_row_is_seen_once_an_epoch():
    class Sees(Fit):
        rows = ()

        def terms(self, x, index):
            self.rows = (*self.rows, *index.tolist())
            return super().terms(x)

    method = Sees()
    ebm.fit(method, (X[:96], torch.arange(96)), steps=12, **QUIET)
    assert sorted(method.rows[:96]) == list(range(96))
    assert sorted(method.rows[96:]) == list(range(96))
    assert method.rows[:96] != method.rows[96:]


def test_a_batch_larger_than_the_data_takes_all_of_it():
    class Sees(Fit):
        size = 0

        def terms(self, x):
            self.size = len(x)
            return super().terms(x)

    method = Sees()
    ebm.fit(method, X[:10], steps=2, **QUIET)
    assert method.size == 10


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (X[:0], ValueError, r"at least one example.*got 0"),
        (torch.full((4, 2), float("nan")), ValueError, r"data must be finite.*4 of 4 rows"),
        ((X, X[:3]), ValueError, r"one length, got lengths \[100, 3\]"),
        ((X * 9).byte(), TypeError, r"floating point, got uint8\. Divide it by 255"),
        ("two moons", TypeError, r"data must be a tensor.*got str"),
        ([], TypeError, r"got nothing"),
        (torch.tensor(1.0), ValueError, r"must have a batch axis"),
        ((X, X), ValueError, r"batch must match Fit\.terms\(x\), got 2 tensors"),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_the_cure(data, error, message):
    with pytest.raises(error, match=message):
        ebm.fit(make(), data, steps=2, **QUIET)


def holding(encoder):
    method = make()
    method.encoder = encoder
    return method


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (Fit, {}, r"method must be an instance, got the class Fit\. Write Fit\("),
        (
            ebm.energies.MLP(2),
            {},
            r"must be an ebm\.Method, got MLP\. .*Divergence\(energy",
        ),
        (
            None,
            {"optimizer": "adam"},
            r"optimizer must .*'adam'.*torch\.optim\.Adam\(m\.param",
        ),
        (None, {"optimizer": torch.optim.SGD}, r"lambda m: torch\.optim\.SGD\(m\.parameters"),
        (None, {"schedule": "cosine"}, r"schedule must map an optimizer"),
        (None, {"fabric": "cuda"}, r"fabric must be a lightning_fabric\.Fabric, got 'cuda'"),
        (None, {"views": "crop"}, r"views must be callable, got str\. Pass views="),
        (None, {"views": lambda x: None}, r"views must return tensors, got NoneType\. Return"),
        (holding("resnet"), {}, r"encoder must be a torch module, got str"),
        (holding(nn.Linear), {}, r"encoder must be an instance, got the class Linear\. Wri"),
    ],
)
def test_strangers_are_refused_with_the_cure(method, options, message):
    with pytest.raises(TypeError, match=message):
        ebm.fit(make() if method is None else method, X, steps=1, **{**QUIET, **options})


@pytest.mark.parametrize("seed", [1.5, "a", 2**63, True])
@pytest.mark.usefixtures("untyped")
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match=r"seed must be a whole number of less than 2\^63"):
        ebm.fit(make(), X, steps=1, **{**QUIET, "seed": seed})


@pytest.mark.usefixtures("untyped")
def test_data_that_a_strangers_network_cannot_take_are_named():
    network = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))
    method = methods.DenoisingScoreMatching(network, sigma=0.1)
    words = (
        r"data must suit Denoising.*\(16, 3\) of torch.float32 and RuntimeError: mat1.*16x3 and 5x1"
    )
    with pytest.raises(ValueError, match=words) as caught:
        ebm.fit(method, torch.randn(40, 3), steps=1, **QUIET)
    assert isinstance(caught.value.__cause__, RuntimeError)
    for data, said in (
        (torch.ones(9, 5).long(), "got torch.int64"),
        (torch.ones(9, 0), "at least o"),
    ):
        with pytest.raises((TypeError, ValueError), match=said):
            ebm.fit(method, data, steps=1, **QUIET)


def test_a_missing_view_is_named():
    with pytest.raises(ValueError, match=r"Pair\.terms\(x, y\), got 1 tensors.*views="):
        ebm.fit(Pair(), X, steps=2, **QUIET)


def test_views_make_the_batch():
    def views(x):
        return x, x + 0.1 * torch.randn_like(x)

    history = ebm.fit(Pair(), X, steps=5, views=views, **QUIET)
    assert history.names == ["pair"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"batch_size": -3}, "batch_size must be a whole number"),
        ({"gradient_clip": 0.0}, "gradient_clip must be a positive number"),
        ({"resume": True}, "out must name the run's folder"),
        ({"save_every": 0}, "save_every must be a whole number"),
    ],
)
def test_numbers_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        ebm.fit(make(), X, **{**QUIET, **options})


def test_optimizers_of_every_kind():
    model = make()
    made = [
        torch.optim.SGD(model.parameters(), lr=0.01),
        lambda m: torch.optim.SGD(m.parameters(), lr=0.01),
        lambda m: [{"params": list(m.net.parameters()), "lr": 1e-4}],
    ]
    for optimizer in made:
        ebm.fit(model, X, steps=2, optimizer=optimizer, gradient_clip=0.1, **QUIET)


def test_gradient_clip_bounds_the_step():
    model = make()
    before = [p.detach().clone() for p in model.parameters()]
    ebm.fit(
        model,
        X,
        steps=1,
        gradient_clip=1e-3,
        optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=1.0),
        **QUIET,
    )
    moved = sum((p - b).square().sum() for p, b in zip(model.parameters(), before, strict=True))
    assert float(moved.sqrt().detach()) == pytest.approx(1e-3, rel=1e-3)


def test_double_precision_stays_double():
    model = make().double()
    ebm.fit(model, X.numpy(), steps=2, **QUIET)
    assert next(model.parameters()).dtype == torch.float64


def test_a_method_without_tensors_of_its_own_keeps_the_datas_dtype():
    from methods import KMeans

    method = KMeans(3)
    ebm.fit(method, X.double(), steps=2, **QUIET)
    assert method.centers.dtype == torch.float64
    other = KMeans(3, start=X[:3])
    ebm.fit(other, X.double(), steps=2, **QUIET)
    assert other.centers.dtype == torch.float32


class TestLoading:
    @pytest.fixture
    def run(self, tmp_path):
        ebm.fit(make(), X, steps=4, out=tmp_path / "run", **QUIET)
        return tmp_path / "run"

    def test_one_file_loads(self, run):
        file = checkpoints(run / "checkpoints")[-1]
        assert ebm.load(file, into=make()).step == 4
        assert ebm.load(str(run), into=make()).step == 4

    def test_another_method_is_refused(self, run):
        with pytest.raises(ValueError, match=r"method must be the Fit that was saved, got Pair"):
            ebm.load(run, into=Pair())

    def test_another_shape_is_refused(self, run):
        with pytest.raises(ValueError, match=r"built as it was saved.*size mismatch"):
            ebm.load(run, into=Fit(hidden=9))

    def test_another_energy_is_refused_by_the_fingerprint(self, run, monkeypatch):
        monkeypatch.setattr(Fit, "energy", lambda self, x: self.net(x).squeeze(-1))
        with pytest.raises(ValueError, match=r"must give the saved energies"):
            ebm.load(run, into=make())

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"path must exist"):
            ebm.load(tmp_path / "nowhere", into=make())
        with pytest.raises(FileNotFoundError, match=r"must hold a checkpoint"):
            ebm.load(tmp_path, into=make())

    @pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped", "foreign"])
    def test_a_damaged_file_is_refused(self, run, damage):
        file = checkpoints(run / "checkpoints")[-1]
        content = bytearray(file.read_bytes())
        if damage == "foreign":
            torch.save({"weights": torch.ones(2)}, file)
        else:
            middle = len(content) // 2
            content[middle] ^= 0xFF
            file.write_bytes(
                {
                    "truncated": bytes(content[:middle]),
                    "empty": b"",
                    "text": b"hello",
                    "flipped": bytes(content),
                }[damage]
            )
        with pytest.raises(ValueError, match=r"checkpoint must be"):
            ebm.load(file, into=make())

    def test_pickled_code_is_not_executed(self, run, tmp_path):
        class Attack:
            def __reduce__(self):
                return (open, (str(tmp_path / "owned"), "w"))

        file = checkpoints(run / "checkpoints")[-1]
        for write in (
            lambda: torch.save(Attack(), file),
            lambda: file.write_bytes(pickle.dumps(Attack())),
        ):
            write()
            with pytest.raises(ValueError, match=r"only tensors and numbers"):
                ebm.load(file, into=make())
        assert not (tmp_path / "owned").exists()

    def test_an_encoder_is_saved_as_safetensors(self, tmp_path):
        from safetensors.torch import load_file

        method = make()
        with pytest.raises(ValueError, match=r"method must have an encoder, got Fit"):
            ebm.save_encoder(method, tmp_path / "none.safetensors")
        method.encoder = nn.Linear(2, 3)
        path = ebm.save_encoder(method, tmp_path / "encoder.safetensors")
        assert torch.equal(load_file(path)["weight"], method.encoder.weight)
