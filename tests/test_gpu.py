"""What needs a CUDA device: no waiting inside a step, precision, resume, and data on the device."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import ebm
import methods
from ebm import networks, views
from ebm.training import loop, parameter_groups, warmup_cosine

pytestmark = pytest.mark.gpu

IMAGES = torch.rand(256, 3, 32, 32, generator=torch.Generator().manual_seed(0))
QUIET = {"progress": False, "seed": 7, "batch_size": 64}
LOUD = ["SimCLR", "VICReg", "BarlowTwins", "BYOL", "SimSiam", "MoCo", "DINO"]


def fabric(precision="bf16-mixed"):
    return Fabric(accelerator="cuda", devices=1, precision=precision)


def simclr(width=8):
    torch.manual_seed(0)
    encoder = networks.ResNet18(3, width=width)
    projector = networks.Projector([encoder.features, 32, 16])
    return methods.SimCLR(encoder, projector, temperature=0.5)


def sgd(method):
    return torch.optim.SGD(parameter_groups(method, weight_decay=1e-4), lr=0.01, momentum=0.9)


class Silent(loop.Loop):
    """A loop in whose steps, fetching the batch aside, nothing may wait for the device."""

    def _step(self, model, step):
        torch.cuda.set_sync_debug_mode("error" if step > 1 else "default")  # the first sets up
        super()._step(model, step)

    def _finish(self, step, steps, bar):
        quiet = step % self.options.log_every and step % self.options.save_every and step < steps
        if not quiet:  # the terms are brought to the host here, once in log_every steps
            torch.cuda.set_sync_debug_mode("default")
        super()._finish(step, steps, bar)

    def _seen(self, batch):
        torch.cuda.set_sync_debug_mode("error" if self.method.step > 0 else "default")
        return super()._seen(batch)


@pytest.fixture
def silent(monkeypatch):
    monkeypatch.setattr("ebm.training.fit.Loop", Silent)
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", LOUD)
def test_no_step_waits_for_the_device(name):
    kind = getattr(methods, name)
    data, of_batch = kind.example_inputs(IMAGES)
    method = kind.example(IMAGES)
    options = {"optimizer": sgd, "schedule": warmup_cosine(steps=20, warmup=5), **QUIET}
    history = ebm.fit(
        method, data, views=of_batch, steps=20, log_every=10, fabric=fabric(), **options
    )
    assert np.isfinite(history.total).all()


@pytest.mark.usefixtures("silent")
def test_no_step_waits_with_crops_and_colors_on_the_device():
    of_batch = views.Pair(views.Recipe.simclr(32, strength=0.5, blur=0.0))
    history = ebm.fit(
        simclr(),
        IMAGES,
        views=of_batch,
        steps=20,
        log_every=10,
        fabric=fabric(),
        channels_last=True,
        gradient_clip=1.0,
        **QUIET,
    )
    assert np.isfinite(history.total).all()


def test_a_waiting_step_would_be_found(monkeypatch):
    monkeypatch.setattr("ebm.training.fit.Loop", Silent)
    method = simclr()
    terms = method.terms
    method.terms = lambda *batch: {"a": terms(*batch)["nt_xent"] * float(batch[0].sum())}
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            ebm.fit(method, (IMAGES, IMAGES), steps=4, fabric=fabric(), **QUIET)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_precisions_agree_roughly(precision):
    exact = ebm.fit(simclr(), (IMAGES, IMAGES.flip(3)), steps=4, fabric=fabric("32-true"), **QUIET)
    rough = ebm.fit(simclr(), (IMAGES, IMAGES.flip(3)), steps=4, fabric=fabric(precision), **QUIET)
    np.testing.assert_allclose(rough.total, exact.total, rtol=0.05)


def test_the_compiler_agrees_with_the_plain_network():
    def train(**options):
        torch.manual_seed(0)
        encoder = nn.Sequential(  # torch's own layers: the tests check the types of ours
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(14_400, 8)
        )
        method, pair = methods.SimCLR(encoder, temperature=0.5), (IMAGES, IMAGES.flip(3))
        return ebm.fit(method, pair, steps=4, fabric=fabric(), **options, **QUIET)

    compiled = train(compile=True, channels_last=True)
    np.testing.assert_allclose(compiled.total, train().total, rtol=0.05)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_resume_goes_on_with_the_scaler(tmp_path, precision):
    options = {"optimizer": sgd, **QUIET}
    pair = (IMAGES, IMAGES.flip(3))
    whole = ebm.fit(simclr(), pair, steps=9, fabric=fabric(precision), **options)
    ebm.fit(simclr(), pair, steps=5, fabric=fabric(precision), out=tmp_path, **options)
    options |= {"out": tmp_path, "resume": True, "fabric": fabric(precision)}
    again = ebm.fit(simclr(), pair, steps=9, **options)
    np.testing.assert_allclose(again.total, whole.total, rtol=1e-2)


def test_a_checkpoint_of_a_gpu_loads_on_a_cpu(tmp_path):
    pair = (IMAGES, IMAGES.flip(3))
    ebm.fit(simclr(), pair, steps=2, fabric=fabric("32-true"), out=tmp_path, **QUIET)
    assert ebm.load(tmp_path, into=simclr()).step == 2


def test_a_run_diverges_at_the_next_look_at_the_terms(tmp_path):
    class Explodes(methods.SimCLR):
        def terms(self, x, y):
            return {"nt_xent": super().terms(x, y)["nt_xent"] * (1e40 if self.step == 5 else 1.0)}

    method = Explodes(networks.ResNet18(3, width=8))
    with pytest.raises(ebm.Divergence, match=r"must be finite, got inf at step 6"):
        ebm.fit(method, (IMAGES, IMAGES), steps=20, log_every=10, fabric=fabric(), **QUIET)


def test_loaders_and_host_data_go_through_pinned_memory():
    loader = DataLoader(TensorDataset(IMAGES, IMAGES.flip(3)), 64, pin_memory=True)
    for data in (loader, TensorDataset(IMAGES, IMAGES.flip(3))):
        history = ebm.fit(simclr(), data, steps=3, fabric=fabric(), **QUIET)
        assert np.isfinite(history.total).all()
