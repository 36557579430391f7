"""Faults: nothing saved is lost, the message says what happened and how to go on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import faults
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import ebm
from ebm.training import checkpoint, parameter_groups, seal, warmup_cosine
from ebm.training.history import History
from ebm.training.run import Run

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
QUIET = {"progress": False, "seed": 7, "batch_size": 10}
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")


class Fit(ebm.Method):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.register_buffer("center", torch.zeros(2))

    def energy(self, x):
        return (self.net(x - self.center).squeeze(-1) - x[:, 0]).square()

    def terms(self, x):
        return {"fit": self.energy(x + 0.1 * torch.randn_like(x))}


class Swept(Fit):
    def sweep(self, batches):
        self.center.copy_(sum(x.mean(0) + 0.01 * torch.randn(2) for (x,) in batches))


class Rows(Dataset):
    """Rows; from the call `after` on, what the test wants happens."""

    def __init__(self, act=None, after=0):
        self.act, self.left = act, after

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        self.left -= 1
        return (X[i] if self.left or self.act is None else self.act(X[i]),)


def fail(x):
    raise OSError(5, "Input/output error")


def die(x):
    os.kill(os.getpid(), signal.SIGKILL)


def inject(*words):
    """Run the suite of faults in a process of its own, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *map(str, words)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@posix
def test_a_dozen_kills_lose_nothing(record_property):
    record_property("says", inject("--kills", 12))


@posix
@pytest.mark.slow
def test_two_hundred_kills_lose_nothing(record_property):
    said = inject("--kills", 200, "--seed", 1)
    record_property("says", said)
    assert all(f"{kind}: " in said for kind in (*faults.KILLS, *faults.OTHERS)), said


@pytest.mark.parametrize("make", [Fit, Swept])
@pytest.mark.parametrize("stop", [8, 12])  # in an epoch of 6 batches, and between two
def test_resume_is_bit_exact_with_a_schedule_and_a_sweep(tmp_path, make, stop):
    def train(method, steps, **options):
        return ebm.fit(
            method,
            X,
            steps=steps,
            optimizer=lambda m: torch.optim.AdamW(
                parameter_groups(m, weight_decay=0.1), lr=0.01, betas=(0.8, 0.99)
            ),
            schedule=warmup_cosine(steps=20, warmup=5),
            **{**QUIET, **options},
        )

    whole, again = make(), make()
    expected = train(whole, 20)
    train(make(), stop, out=tmp_path)
    history = train(again, 20, out=tmp_path, resume=True, seed=None)
    assert np.array_equal(history["fit"], expected["fit"])
    assert all(torch.equal(a, again.state_dict()[k]) for k, a in whole.state_dict().items())


class TestBest:
    class Dips(Fit):
        """Its term is lowest in the middle of the run."""

        def terms(self, x):
            return {"fit": 0 * self.energy(x) + abs(self.step - 9.5)}

    def test_the_best_checkpoint_stays_beside_the_last(self, tmp_path):
        ebm.fit(self.Dips(), X, steps=20, out=tmp_path, save_every=2, keep=2, **QUIET)
        names = [file.name for file in checkpoint.checkpoints(tmp_path / "checkpoints")]
        assert names == ["step-000000018.pt", "step-000000020.pt"]
        best = checkpoint.read(tmp_path / "best.pt")
        assert best["step"] == 10
        assert best["total"] == pytest.approx(1.0)  # the mean of steps 9 and 10
        assert ebm.load(tmp_path / "best.pt", into=self.Dips()).step == 10
        assert ebm.load(tmp_path, into=self.Dips()).step == 20

    def test_a_resumed_run_remembers_its_best(self, tmp_path):
        options = {"out": tmp_path, "save_every": 2, "resume": True, **QUIET}
        ebm.fit(self.Dips(), X, steps=14, **options)
        ebm.fit(self.Dips(), X, steps=20, **options)
        assert checkpoint.read(tmp_path / "best.pt")["step"] == 10

    def test_a_run_killed_before_it_crowned_its_best_does_so_when_it_goes_on(self, tmp_path):
        options = {"out": tmp_path, "save_every": 2, "resume": True, **QUIET}
        ebm.fit(self.Dips(), X, steps=4, **options)
        (tmp_path / "best.pt").unlink()
        ebm.fit(self.Dips(), X, steps=4, **options)
        assert checkpoint.read(tmp_path / "best.pt")["step"] == 4

    def test_where_there_are_no_links_it_is_a_copy(self, tmp_path, monkeypatch):
        def no_links(*_):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", no_links)
        ebm.fit(self.Dips(), X, steps=4, out=tmp_path, save_every=2, **QUIET)
        assert checkpoint.read(tmp_path / "best.pt")["step"] == 4


class TestData:
    @pytest.mark.parametrize("loader", [False, True])
    def test_data_that_raise_end_the_run_with_its_last_step_saved(self, tmp_path, loader):
        def rows(*fault):
            set_ = Rows(*fault)
            return DataLoader(set_, 10, shuffle=True) if loader else set_

        whole, again = Fit(), Fit()
        expected = ebm.fit(whole, rows(), steps=12, **QUIET)
        words = (
            r"^data must yield every batch, got OSError: \[Errno 5\] Input/output error at batch "
            r"1 of epoch 1\. Mend the data\. The last good checkpoint is .*step-000000007\.pt\. "
            r"Go on with resume=True \(--resume\)\.$"
        )
        with pytest.raises(ebm.Fault, match=words) as caught:
            ebm.fit(Fit(), rows(fail, 75), steps=12, out=tmp_path, **QUIET)
        assert isinstance(caught.value.__cause__, OSError)
        history = ebm.fit(again, rows(), steps=12, out=tmp_path, resume=True, **QUIET)
        assert np.array_equal(history["fit"], expected["fit"])
        assert torch.equal(whole.net[0].weight, again.net[0].weight)

    @pytest.mark.usefixtures("untyped")
    def test_batches_of_a_wrong_kind_are_refused_as_whole_data_are(self):
        with pytest.raises(TypeError, match=r"data\[0\] must be floating point, got uint8"):
            ebm.fit(Fit(), Rows(lambda x: (9 * x).byte(), 1), steps=2, **{**QUIET, "batch_size": 1})

    def test_without_a_folder_it_is_said_how_to_keep_checkpoints(self):
        with pytest.raises(ebm.Fault, match=r"Mend the data\. Pass out= to keep checkpoints\.$"):
            ebm.fit(Fit(), Rows(fail, 75), steps=12, **QUIET)

    def test_half_a_sweep_is_not_saved(self, tmp_path):
        with pytest.raises(ebm.Fault, match=r"data must yield.*step-000000006\.pt"):
            # 60 rows are swept, 60 are trained on, and the next sweep fails half way
            ebm.fit(Swept(), Rows(fail, 150), steps=12, out=tmp_path, save_every=6, **QUIET)
        names = [file.name for file in checkpoint.checkpoints(tmp_path / "checkpoints")]
        assert names == ["step-000000006.pt"]

    def test_a_batch_that_is_not_finite_is_named(self, tmp_path):
        words = (
            r"fit must be finite, got nan at step 8 \(fit=nan\)\. The batch holds NaN or infinity "
            r"in 1 of 10 rows of tensor 0: remove or impute them in the data\. The last good "
            r"checkpoint is .*step-000000006\.pt\.$"
        )
        rows = Rows(lambda x: x * float("nan"), 75)
        with pytest.raises(ebm.Divergence, match=words):
            ebm.fit(Fit(), rows, steps=12, out=tmp_path, save_every=3, **QUIET)
        assert ebm.load(tmp_path, into=Fit()).step == 6

    def test_a_buffer_that_a_sweep_spoiled_is_named(self):
        rows = Rows(lambda x: x * float("nan"), 5)
        with pytest.raises(ebm.Divergence, match=r"center was not finite before: look at what"):
            ebm.fit(Swept(), rows, steps=2, **QUIET)

    @posix
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_worker_that_dies_ends_the_run_with_its_last_step_saved(self, tmp_path):
        def rows(*fault):
            return DataLoader(Rows(*fault), 10, shuffle=True, num_workers=1)

        expected = ebm.fit(Fit(), rows(), steps=9, **QUIET)
        with pytest.raises(ebm.Fault, match=r"^data must yield every batch, got .*DataLoader work"):
            ebm.fit(Fit(), rows(die, 45), steps=9, out=tmp_path, **QUIET)
        # How far the run came before the worker, which loads ahead, is a matter of luck.
        saved = checkpoint.checkpoints(tmp_path / "checkpoints")
        assert len(saved) <= 1
        assert len(History.read(tmp_path / "metrics.csv")) == (
            int(saved[0].stem[5:]) if saved else 0
        )
        history = ebm.fit(Fit(), rows(), steps=9, out=tmp_path, resume=True, **QUIET)
        assert np.array_equal(history["fit"], expected["fit"])

    @posix
    def test_a_workers_death_waits_for_the_end_of_the_step(self, tmp_path, monkeypatch):
        def of_torch(number, frame):
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

        class Notices(Fit):
            def terms(self, x):
                if self.step == 4:
                    signal.raise_signal(signal.SIGCHLD)
                return super().terms(x)

        before = signal.signal(signal.SIGCHLD, of_torch)
        try:
            with pytest.raises(ebm.Fault, match=r"got a worker that died \(DataLoader worker"):
                ebm.fit(Notices(), X, steps=9, out=tmp_path, **QUIET)
            assert signal.getsignal(signal.SIGCHLD) is of_torch
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert checkpoint.read(tmp_path)["step"] == 5

    @posix
    def test_a_broken_connection_waits_for_the_death_that_broke_it(self):
        def of_torch(number, frame):
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

        def torn(x):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGCHLD)).start()
            raise ConnectionResetError(104, "Connection reset by peer")

        before = signal.signal(signal.SIGCHLD, of_torch)
        try:
            with pytest.raises(ebm.Fault, match=r"got a worker that died \(DataLoader worker"):
                ebm.fit(Fit(), DataLoader(Rows(torn, 5), 10), steps=9, **QUIET)
        finally:
            signal.signal(signal.SIGCHLD, before)

    def test_a_mistake_in_the_method_keeps_its_kind_and_says_what_is_saved(self, tmp_path):
        class Mistaken(Fit):
            def terms(self, x):
                return super().terms(x) if self.step < 4 else {"fit": x @ x}

        with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied") as caught:
            ebm.fit(Mistaken(), X, steps=9, out=tmp_path, save_every=2, **QUIET)
        assert "step-000000004.pt" in caught.value.__notes__[0]


class TestSignals:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_command_line_says_what_is_saved(
        self, tmp_path, monkeypatch, capsys, number, status
    ):
        from ebm.__main__ import main
        from methods import VICReg

        terms = VICReg.terms

        def interrupted(self, *batch):
            if self.step == 3:
                signal.raise_signal(number)
            return terms(self, *batch)

        monkeypatch.setattr(VICReg, "terms", interrupted)
        with pytest.raises(SystemExit) as stopped:
            main(["train", "vicreg", "--steps", "9", "--out", str(tmp_path / "a")])
        assert stopped.value.code == status
        said = [line for line in capsys.readouterr().err.splitlines() if "Stopped by" in line]
        assert len(said) == 1
        assert "step-000000004.pt. Go on with resume=True (--resume)." in said[0]

    def test_a_signal_that_reached_the_workers_too_is_a_signal(self, tmp_path):
        def both(x):
            signal.raise_signal(signal.SIGTERM)
            fail(x)

        with pytest.raises(SystemExit) as stopped:
            ebm.fit(Fit(), Rows(both, 25), steps=9, out=tmp_path, **QUIET)
        assert stopped.value.code == 143
        assert checkpoint.read(tmp_path)["step"] == 2


class TestDisk:
    @pytest.mark.parametrize("place", ["checkpoint", "metrics", "run.json"])
    def test_a_full_disk_says_so_and_leaves_what_is_there(self, tmp_path, monkeypatch, place):
        expected = ebm.fit(Fit(), X, steps=12, **QUIET)
        ebm.fit(Fit(), X, steps=4, out=tmp_path, **QUIET)

        def full(*_):
            raise OSError(28, "No space left on device")

        if place == "checkpoint":
            monkeypatch.setattr(seal, "save", full)
        elif place == "metrics":
            monkeypatch.setattr(History, "append", full)
        else:
            monkeypatch.setattr(Path, "write_text", full)
        words = (
            rf"^disk must take (the )?{place}, got No space left on device in .*Make room, or mend "
            r"the disk\. The last good checkpoint is .*step-000000004\.pt\. Go on with resume=True"
        )
        with pytest.raises(ebm.Fault, match=words):
            ebm.fit(Fit(), X, steps=12, out=tmp_path, resume=True, **QUIET)
        monkeypatch.undo()
        assert not list(tmp_path.rglob("*.part"))
        history = ebm.fit(Fit(), X, steps=12, out=tmp_path, resume=True, **QUIET)
        assert np.array_equal(history["fit"], expected["fit"])

    def test_the_old_checkpoints_go_after_the_new_one_is_there(self, tmp_path, monkeypatch):
        seen = []
        forget = checkpoint.forget

        def spy(folder, keep):
            seen.append(len(checkpoint.checkpoints(folder)))
            forget(folder, keep)

        monkeypatch.setattr(checkpoint, "forget", spy)
        ebm.fit(Fit(), X, steps=12, out=tmp_path, save_every=2, keep=2, **QUIET)
        assert seen == [1, 2, 3, 3, 3, 3]

    def test_what_a_killed_process_left_is_cleaned(self, tmp_path):
        ebm.fit(Fit(), X, steps=4, out=tmp_path, **QUIET)
        for name in ("metrics.csv.part", "checkpoints/step-000000009.pt.part"):
            (tmp_path / name).write_bytes(b"half")
        ebm.fit(Fit(), X, steps=6, out=tmp_path, resume=True, **QUIET)
        assert not list(tmp_path.rglob("*.part"))


class TestMetrics:
    @pytest.fixture
    def run(self, tmp_path):
        ebm.fit(Fit(), X, steps=12, out=tmp_path, **QUIET)
        return tmp_path

    @pytest.mark.parametrize("torn", [b"1", b"13,0.", b"13,0.123\r", b"7,0.5"])
    def test_a_torn_last_line_is_left_out(self, run, torn):
        with (run / "metrics.csv").open("ab") as file:
            file.write(torn)
        assert Run(run, resume=True).history(7).steps == list(range(1, 13))
        assert History.read(run / "metrics.csv").steps == list(range(1, 13))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda lines: lines[:8], "it ends at step 7, before 12"),
            (lambda lines: lines[:4] + lines[5:], "line 5 is damaged"),
            (lambda lines: [*lines[:4], b"x,y\r\n", *lines[5:]], "invalid literal"),
            (lambda lines: [b"a,b\r\n", *lines[1:]], "its first line must name step"),
            (lambda lines: [*lines[:4], b"4,\xff\r\n", *lines[5:]], "can't decode"),
        ],
    )
    def test_damaged_metrics_are_refused(self, run, change, reason):
        path = run / "metrics.csv"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
        words = rf"metrics must be whole, got .*{reason}.*Restore it, or delete it to go on"
        with pytest.raises(ValueError, match=words):
            ebm.fit(Fit(), X, steps=20, out=run, resume=True, **QUIET)

    def test_without_metrics_the_history_starts_at_the_checkpoint(self, run):
        (run / "metrics.csv").unlink()
        history = ebm.fit(Fit(), X, steps=14, out=run, resume=True, **QUIET)
        assert history.steps == [13, 14]
        history = ebm.fit(Fit(), X, steps=16, out=run, resume=True, **QUIET)
        assert history.steps == [13, 14, 15, 16]


class TestOthersRun:
    """A run goes on only as it was."""

    @pytest.fixture
    def run(self, tmp_path):
        ebm.fit(Fit(), X, steps=4, out=tmp_path, schedule=warmup_cosine(steps=9), **QUIET)
        return tmp_path

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"batch_size": 20}, r"batch_size must be the run's own to resume it, got 20 inste"),
            ({"seed": 8}, r"seed must be the run's own to resume it, got 8 instead of 7. Leave"),
            ({"schedule": None}, r"schedule must be the run's own .*which was with one"),
            (
                {"optimizer": lambda m: torch.optim.Adam(m.parameters(), lr=0.1)},
                r"optimizer must be the run's own to resume it, got lr=0.1 instead of 0.001",
            ),
            (
                {"optimizer": lambda m: parameter_groups(m, weight_decay=0.1)},
                r"got groups of \[2, 2\] parameters instead of \[4\]",
            ),
        ],
        ids=["batch_size", "seed", "schedule", "learning rate", "groups"],
    )
    def test_other_settings_are_refused(self, run, change, words):
        options = {"schedule": warmup_cosine(steps=9), **QUIET, **change}
        with pytest.raises(ValueError, match=words):
            ebm.fit(Fit(), X, steps=9, out=run, resume=True, **options)

    def test_other_data_are_refused(self, run):
        with pytest.raises(ValueError, match=r"examples must be the run's own .*50 instead of 60"):
            ebm.fit(Fit(), X[:50], steps=9, out=run, resume=True, **QUIET)

    def test_other_settings_of_the_optimizer_are_refused_without_a_schedule(self, tmp_path):
        ebm.fit(Fit(), X, steps=4, out=tmp_path, **QUIET)
        with pytest.raises(ValueError, match=r"betas=\(0.5, 0.9\) instead of \(0.9, 0.999\)"):
            ebm.fit(
                Fit(),
                X,
                steps=9,
                out=tmp_path,
                resume=True,
                optimizer=lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, betas=(0.5, 0.9)),
                **QUIET,
            )

    def test_a_run_with_a_broken_description_is_refused(self, run):
        (run / "run.json").write_text("[1")
        with pytest.raises(ValueError, match=r"run.json must be a JSON object, got .*Delete it"):
            ebm.fit(Fit(), X, steps=4, out=run, resume=True, **QUIET)

    def test_objects_are_not_saved_and_that_is_said_before_the_first_step(self, tmp_path):
        def make(method):
            optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
            optimizer.param_groups[0]["note"] = Path("x")
            return optimizer

        method = Fit()
        with pytest.raises(
            ValueError, match=r"optimizer\['param_groups'\]\[0\]\['note'\] must be a tensor or a n"
        ):
            ebm.fit(method, X, steps=4, out=tmp_path, optimizer=make, **QUIET)
        assert method.step == 0
