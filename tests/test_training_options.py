"""Schedules, groups, precision, the compiler, logging and the monitors: what `fit` offers."""

import copy
import math
import shutil
import warnings

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import TensorDataset

import ebm
import methods
from ebm import networks
from ebm.__main__ import main
from ebm.benchmark import fit as fit_benchmark
from ebm.benchmark import simclr
from ebm.training import Alarm, compiler, parameter_groups, warmup_cosine
from ebm.training.batches import Batches
from ebm.training.history import History
from ebm.training.monitor import Monitor

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
QUIET = {"progress": False, "seed": 7, "batch_size": 10}


class Fit(ebm.Method):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

    def energy(self, x):
        return (self.net(x).squeeze(-1) - x[:, 0]).square()

    def terms(self, x):
        return {"fit": self.energy(x)}


class TestSchedule:
    def test_it_rises_then_falls_as_half_a_cosine(self):
        rates = []

        def schedule(optimizer):
            made = warmup_cosine(steps=20, warmup=4, floor=0.01)(optimizer)
            step = made.step

            def noted():
                rates.append(optimizer.param_groups[0]["lr"])
                step()

            made.step = noted
            return made

        optimizer = lambda m: torch.optim.SGD(m.parameters(), lr=0.1)  # noqa: E731
        ebm.fit(Fit(), X, steps=20, optimizer=optimizer, schedule=schedule, **QUIET)
        expected = [0.1 * (1 / 5 + 4 / 5 * k / 4) for k in range(4)]
        expected += [0.01 + 0.09 * (1 + math.cos(math.pi * k / 16)) / 2 for k in range(16)]
        np.testing.assert_allclose(rates, expected, rtol=1e-9)

    def test_without_a_warm_up(self):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        scheduler = warmup_cosine(steps=2)(optimizer)
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)

    @pytest.mark.parametrize("warmup", [10, 11, -1])
    def test_a_warm_up_must_be_shorter_than_the_run(self, warmup):
        with pytest.raises(ValueError, match=r"warmup must be fewer than the steps, got warmup="):
            warmup_cosine(steps=10, warmup=warmup)

    def test_what_is_no_schedule_is_refused(self):
        with pytest.raises(
            TypeError, match=r"schedule must map an optimizer to a torch sched.*floa"
        ):
            ebm.fit(Fit(), X, steps=2, schedule=lambda optimizer: 0.1, **QUIET)


class TestParameterGroups:
    def test_biases_and_norms_do_not_decay(self):
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3), networks.BatchNorm(4), nn.Flatten(), nn.Linear(4, 2)
        )
        net[3].bias.requires_grad_(False)
        decayed, others = parameter_groups(net, weight_decay=0.1)
        assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
        assert [p.ndim for p in decayed["params"]] == [4, 2]
        assert [tuple(p.shape) for p in others["params"]] == [(4,), (4,), (4,)]

    def test_an_empty_group_is_left_out(self):
        assert len(parameter_groups(nn.Linear(2, 2, bias=False), weight_decay=0.1)) == 1

    def test_lars_takes_them_and_its_state_survives_a_resume(self, tmp_path):
        lars = pytest.importorskip("pytorch_optimizer").LARS

        def optimizer(method):
            return lars(parameter_groups(method, weight_decay=1e-4), lr=0.1, momentum=0.9)

        options = {"optimizer": optimizer, "schedule": warmup_cosine(steps=12, warmup=3), **QUIET}
        whole, again = Fit(), Fit()
        expected = ebm.fit(whole, X, steps=12, **options)
        ebm.fit(Fit(), X, steps=5, out=tmp_path, **options)
        history = ebm.fit(again, X, steps=12, out=tmp_path, resume=True, **options)
        assert np.array_equal(history["fit"], expected["fit"])
        assert torch.equal(whole.net[0].weight, again.net[0].weight)


class TestPrecision:
    @pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
    def test_the_terms_stay_close_and_the_history_is_whole(self, precision):
        method = methods.VICReg.example(X, dim=8)
        data, views = methods.VICReg.example_inputs(X)
        exact = ebm.fit(copy.deepcopy(method), data, views=views, steps=3, **QUIET)
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        rough = ebm.fit(method, data, views=views, steps=3, fabric=fabric, **QUIET)
        np.testing.assert_allclose(rough.total, exact.total, rtol=0.05)

    def test_autocast_rounds_layers_and_not_the_data(self):
        seen = {}

        class Sees(Fit):
            def terms(self, x):
                seen["x"], seen["layer"] = x, self.net(x).dtype
                return super().terms(x)

        fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
        ebm.fit(Sees(), X[:10], steps=1, fabric=fabric, **QUIET)
        assert seen["layer"] == torch.bfloat16
        assert seen["x"].dtype == torch.float32
        assert set(seen["x"].flatten().tolist()) == set(X[:10].flatten().tolist())

    def test_channels_last_is_the_same_to_rounding(self):
        images = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        formats = []

        class Watched(networks.ConvNet):
            def forward(self, x):
                formats.append(x.is_contiguous(memory_format=torch.channels_last))
                return super().forward(x)

        def train(**options):
            torch.manual_seed(0)
            method = methods.SimCLR(Watched(3, 8, widths=(4, 8)), temperature=0.5)
            data, views = methods.SimCLR.example_inputs(images)
            return ebm.fit(method, data, views=views, steps=4, **options, **QUIET)

        plain = train()
        assert not any(formats)
        formats.clear()
        last = train(channels_last=True)
        assert all(formats)
        np.testing.assert_allclose(last.total, plain.total, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
class TestCompiler:
    def test_networks_are_compiled_for_the_run_and_give_the_same(self, monkeypatch):
        monkeypatch.setattr(compiler, "BACKEND", "aot_eager")
        torch._dynamo.utils.counters.clear()
        plain = ebm.fit(Fit(), X, steps=3, **QUIET)
        assert not torch._dynamo.utils.counters["stats"]
        method = Fit()
        compiled = ebm.fit(method, X, steps=3, compile=True, **QUIET)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
        np.testing.assert_allclose(compiled.total, plain.total, rtol=1e-6)
        assert not any("forward" in vars(module) for module in method.modules())
        assert "net.0.weight" in method.state_dict()

    def test_networks_are_found_inside_energies_and_wrappers(self):
        method = methods.MoCo.example(X)
        kinds = {type(network) for network in compiler.networks(method)}
        assert kinds <= {networks.MLP, networks.Projector, nn.Sequential}
        energy = methods.ContrastiveDivergence.example(X)
        assert [type(n) for n in compiler.networks(energy)] == [networks.MLP]
        wrapped = nn.ModuleList([networks.Recomputed(nn.Linear(2, 2))])
        assert [type(n) for n in compiler.networks(wrapped)] == [nn.Linear]

    def test_without_a_compiler_a_note_is_said_and_training_goes_on(self, monkeypatch):
        monkeypatch.setattr(shutil, "which", lambda name: None)
        with pytest.warns(
            Alarm, match=r"compile=True must find a compiler, got none for cpu \(no g"
        ):
            history = ebm.fit(Fit(), X, steps=3, compile=True, **QUIET)
        assert len(history) == 3

    def test_second_derivatives_are_refused(self, monkeypatch):
        monkeypatch.setattr(compiler, "BACKEND", "aot_eager")
        method = methods.DenoisingScoreMatching.example(X)
        with pytest.raises(
            ValueError, match=r"compile must be left out for DenoisingScoreMatching"
        ):
            ebm.fit(method, X, steps=2, compile=True, **QUIET)

    def test_a_compiler_that_fails_is_named(self, monkeypatch):
        def broken(module, inputs):
            raise OSError("no space for object files")

        monkeypatch.setattr(compiler, "BACKEND", broken)
        with pytest.raises(
            ValueError, match=r"compile must find a compiler that works, got Backen"
        ):
            ebm.fit(Fit(), X, steps=2, compile=True, **QUIET)

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
    def test_the_real_compiler_gives_the_same(self):
        plain = ebm.fit(Fit(), X, steps=4, **QUIET)
        compiled = ebm.fit(Fit(), X, steps=4, compile=True, **QUIET)
        np.testing.assert_allclose(compiled.total, plain.total, rtol=1e-5)


class TestLogging:
    def test_a_logger_gets_the_terms(self, tmp_path):
        from lightning_fabric.loggers import CSVLogger

        fabric = Fabric(
            accelerator="cpu", devices=1, loggers=[CSVLogger(tmp_path, flush_logs_every_n_steps=1)]
        )
        history = ebm.fit(Fit(), X, steps=6, fabric=fabric, log_every=3, **QUIET)
        (file,) = tmp_path.rglob("metrics.csv")
        rows = file.read_text().split()
        assert rows[0] == "fit,step"
        assert [line.split(",")[1] for line in rows[1:]] == ["3", "6"]
        assert float(rows[2].split(",")[0]) == history["fit"][5]

    def test_tensorboard_files_lie_in_the_run(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        pytest.importorskip("tensorboardX")
        words = "train vicreg --steps 2 --out a --tensorboard --optimizer adamw --weight-decay 0.1"
        with pytest.raises(SystemExit) as stopped:
            main([*words.split(), "--cosine", "--warmup", "1", "--batch-size", "32"])
        assert not stopped.value.code
        assert list((tmp_path / "a/tensorboard").glob("events.out.tfevents.*"))

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--optimizer", "adagrad9"], "optimizer must be one of adam, adamw, sgd, lars, got"),
            (["--warmup", "5"], "cosine must follow a warm-up, got warmup=5 alone"),
            (["--weight-decay=-1"], "weight_decay must be"),
        ],
    )
    def test_wrong_options_are_refused(self, tmp_path, capsys, words, message):
        with pytest.raises(SystemExit) as stopped:
            main(["train", "vicreg", "--steps", "9", "--out", str(tmp_path / "a"), *words])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err

    def test_the_bar_shows_step_rate_and_terms(self, capsys):
        ebm.fit(Fit(), X, steps=3, batch_size=10, seed=0)
        said = capsys.readouterr().err
        assert "Fit: 100%" in said
        assert "3/3" in said
        assert "step/s" in said
        assert "fit=" in said

    def test_a_history_draws_itself(self):
        history = ebm.fit(Fit(), X, steps=3, **QUIET)
        axes = history.draw()
        assert len(axes.lines) >= 1

    def test_the_mean_total_counts_missing_terms_as_nothing(self):
        history = History()
        for step in range(1, 5):
            history.add(step, {"a": 2.0, **({"b": 1.0} if step % 2 else {})})
        assert history.mean(2) == pytest.approx(2.5)
        assert history.mean(100) == pytest.approx(2.5)
        assert history.total[-2:].mean() == pytest.approx(2.5)


class TestMonitors:
    def test_a_collapse_is_said_in_words_once(self):
        class Collapses(ebm.Method):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Linear(2, 16)
                self.energy = ebm.as_energy(lambda x, y: (x - y).square().sum(-1))

            def embed(self, x):
                return self.encoder(x)

            def terms(self, x):
                return {"pull": self.encoder(x).std(0).sum()}

        optimizer = lambda m: torch.optim.Adam(m.parameters(), lr=0.05)  # noqa: E731
        with pytest.warns(
            Alarm, match=r"has collapsed: all embeddings point.*seen at step"
        ) as said:
            ebm.fit(Collapses(), X, steps=300, save_every=100, optimizer=optimizer, **QUIET)
        assert len(said) == 1

    def test_a_start_near_collapse_that_is_left_is_not_called_a_collapse(self):
        method = methods.VICReg(nn.Linear(2, 16))
        monitor = Monitor(method)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for scale in (0.001, 0.01, 0.02):
                nn.init.ones_(method.encoder.bias)
                nn.init.normal_(method.encoder.weight, std=scale)
                monitor.look((X,))
        nn.init.normal_(method.encoder.weight, std=0.001)
        with pytest.warns(Alarm, match="has collapsed"):
            monitor.look((X,))

    def test_a_term_that_runs_away_is_said_in_words_once(self):
        class RunsAway(Fit):
            def terms(self, x):
                return {"away": 0 * self.energy(x) - math.exp(0.1 * self.step)}

        with pytest.warns(Alarm, match=r"away runs away: its size is .* where it was") as said:
            ebm.fit(RunsAway(), X, steps=300, log_every=10, **QUIET)
        assert len(said) == 1

    def test_a_healthy_run_is_silent(self):
        data, views = methods.VICReg.example_inputs(X)
        method = methods.VICReg.example(X, dim=8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ebm.fit(method, data, views=views, steps=60, save_every=20, log_every=10, **QUIET)


class TestBenchmarks:
    def test_the_bare_loop_is_the_same_training(self):
        task = fit_benchmark.TASKS[0]
        (ours, x), (plain, _) = task.build(), task.build()
        x = x[: task.batch]  # one batch an epoch: the order of rows does not matter
        ebm.fit(ours, x, steps=5, batch_size=len(x), seed=0, progress=False)
        fit_benchmark.bare_loop(plain, x, len(x), 5)
        for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)

    def test_the_overhead_is_small(self):
        # The goal is 0.3 ms, measured by the benchmark; a machine that does other things too
        # gets ten times that, and what it makes a bare step wait.
        row = fit_benchmark._row(fit_benchmark.TASKS[0], folder=False, quick=True)
        assert row.extra_seconds < 3e-3 + row.bare_seconds

    def test_simclr_on_a_gpu_runs_a_few_steps_on_a_cpu(self, capsys):
        rows = list(simclr.run(quick=True))
        simclr.print_table(rows)
        assert rows[0].steps == 6
        assert rows[0].knn > 0.3
        assert rows[0].images_per_second > 0
        assert rows[0].peak_share is None or 0 < rows[0].peak_share < 1
        assert "bf16-mixed" in capsys.readouterr().out

    def test_operations_are_counted_for_both_views(self):
        encoder = nn.Linear(4, 5, bias=False)
        method = methods.SimCLR(encoder)
        assert simclr._forward_operations(method, torch.randn(8, 4)) == 2 * 2 * 8 * 4 * 5


@pytest.mark.parametrize("kind", ["tensor", "dataset"])
def test_data_live_on_the_device_if_they_fit(kind, monkeypatch):
    fabric = Fabric(accelerator="cpu", devices=1)
    data = X if kind == "tensor" else TensorDataset(X)
    batches = Batches(data, 10, seed=0, like=X, fabric=fabric)
    (batch,) = next(batches.epoch(0))
    assert batch.shape == (10, 2)


def test_data_too_large_for_the_device_stay_on_the_host(monkeypatch):
    from ebm.training.batches import _placed

    moved = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000, 2_000))
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *_: moved.append(x) or x)
    device = torch.device("cuda", 0)
    _placed((torch.zeros(126),), device)  # 504 of 1,000 bytes
    assert moved == []
    _placed((torch.zeros(124),), device)
    assert len(moved) == 1
