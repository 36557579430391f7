"""Two processes with different data have the gradients of one on the concatenated batch."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

import methods
from ebm import Method, distributed, networks, terms
from ebm.memory import Bank, Queue

N, D = 24, 5
WORLD = 2


class Encoder(nn.Module):
    """Two layers with batch norm between them, whose statistics are all processes'."""

    def __init__(self, out: int = 4) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(D, 8), networks.BatchNorm(8), nn.Linear(8, out)
        self.features = out

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.first(x)).tanh())


TERMS: dict[str, Callable[[], Callable[..., Tensor]]] = {
    "invariance": terms.Invariance,
    "reconstruction": terms.Reconstruction,
    "cosine": terms.Cosine,
    "alignment": terms.Alignment,
    "variance": lambda: terms.Variance(std=2.0),
    "covariance": terms.Covariance,
    "cross_correlation": terms.CrossCorrelation,
    "info_nce": terms.InfoNCE,
    "clip": terms.InfoNCE.clip,
    "nt_xent": terms.NTXent,
    "decoupled": terms.Decoupled,
    "decoupled_weighted": terms.Decoupled.weighted,
    "uniformity": lambda: lambda x, y: terms.Uniformity()(x),
    "transformation_covariance": lambda: lambda x, y: terms.TransformationCovariance()(x),
    "swapped_prediction": lambda: lambda x, y: terms.SwappedPrediction()(x.tanh(), y.tanh()),
    "distillation": terms.Distillation,
    "whitening": terms.Whitening,
    "whitening_divided": lambda: terms.Whitening(size=12),
    "triplet": lambda: lambda x, y: terms.Triplet()(x, y, x.roll(1, 1)),
}


def identity() -> nn.Identity:
    return nn.Identity()


METHODS: dict[str, Callable[[], Method]] = {
    "simclr": lambda: methods.SimCLR(Encoder()),
    "dcl": lambda: methods.DCL(Encoder()),
    "dclw": lambda: methods.DCL.weighted(Encoder()),
    "barlow_twins": lambda: methods.BarlowTwins(Encoder()),
    "vicreg": lambda: methods.VICReg(Encoder()),
    "w_mse": lambda: methods.WMSE(Encoder(), size=12),
    "moco": lambda: methods.MoCo(Encoder(), queue=Queue(40, 4)),
    "moco_v3": lambda: methods.MoCoV3(Encoder(), identity(), networks.Predictor(4, 6)),
    "tico": lambda: methods.TiCo(Encoder(), dim=4),
    "byol": lambda: methods.BYOL(Encoder(), identity(), networks.Predictor(4, 6)),
    "simsiam": lambda: methods.SimSiam(Encoder(), identity(), networks.Predictor(4, 6)),
    "dino": lambda: methods.DINO(Encoder(), identity(), networks.Prototypes(4, 6)),
    "swav": lambda: methods.SwAV(
        Encoder(),
        identity(),
        networks.Prototypes(4, 6),
        queues=(Queue(48, 4), Queue(48, 4)),
        queue_after=0.0,
    ),
    "deep_cluster": lambda: methods.DeepCluster(Encoder(), dim=4, examples=N, clusters=(3, 5)),
    "sela": lambda: methods.SeLA(Encoder(), nn.Linear(4, 6), examples=N),
    "instance_discrimination": lambda: methods.InstanceDiscrimination(
        Encoder(), bank=EveryoneElse(N, 4), negatives=N - 1
    ),
    "pirl": lambda: methods.PIRL(
        Encoder(),
        identity(),
        identity(),
        nn.Linear(8, 4),
        bank=EveryoneElse(N, 4),
        negatives=N - 1,
    ),
}


class EveryoneElse(Bank):
    """All other memories as negatives: the same noise on any number of processes."""

    def others(self, indices: Tensor, count: int) -> Tensor:
        shifts = torch.arange(1, self.size)
        return self.rows[(indices[:, None] + shifts) % self.size]


def data() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(N, D, generator=generator, dtype=torch.float64)
    x = x * torch.linspace(0.5, 2, N)[:, None] + torch.linspace(-1, 1, N)[:, None]
    y = x + 0.3 * torch.randn(N, D, generator=generator, dtype=torch.float64)
    return x, y, torch.arange(N)


def mine(x: Tensor) -> Tensor:
    share = N // distributed.world()
    return x[distributed.rank() * share : (distributed.rank() + 1) * share]


def gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """Return what DDP leaves: the mean over processes of loss and gradients."""
    module.zero_grad()
    loss.backward()
    found = {"loss": loss.detach().clone()}
    found |= {k: p.grad.clone() for k, p in module.named_parameters() if p.grad is not None}
    return {k: distributed.total(v) / distributed.world() for k, v in found.items()}


def of_term(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    encoder, term = Encoder().double(), TERMS[name]()
    x, y, _ = data()
    torch.manual_seed(5)
    found = gradients(encoder, term(encoder(mine(x)), encoder(mine(y))).mean())
    return found | {f"buffer {k}": v.clone() for k, v in encoder.named_buffers()}


def of_method(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    method = METHODS[name]().double()
    x, y, indices = data()
    found: dict[str, Tensor] = {}
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05)
    for step in range(3):
        method.progress = step / 3
        if hasattr(method, "sweep"):
            torch.manual_seed(step)
            batch = (x, indices)
            method.sweep([tuple(mine(v) for v in batch)])  # pyright: ignore
        takes = {"deep_cluster": (x, y, indices), "sela": (x, indices)}
        takes |= {"instance_discrimination": (x, indices)}
        takes |= {"pirl": (x, torch.stack([x, y], dim=1), indices)}
        values = method.terms(*(mine(v) for v in takes.get(name, (x, y))))
        found = gradients(method, torch.stack([v.mean() for v in values.values()]).sum())
        for key, parameter in method.named_parameters():
            if key in found:
                parameter.grad = found[key].clone()
        optimizer.step()
        for module in method.modules():
            if hasattr(module, "commit"):
                module.commit()
    return found | {f"buffer {k}": v.clone() for k, v in method.named_buffers()}


def work(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    found = {f"term {name}": of_term(name) for name in TERMS}
    found |= {f"method {name}": of_method(name) for name in METHODS}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(work, (port, str(folder)), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*(f"term {name}" for name in TERMS), *(f"method {name}" for name in METHODS)]
)
def test_two_processes_are_one(two: list[dict[str, dict[str, Tensor]]], name: str) -> None:
    kind, key = name.split()
    one = (of_term if kind == "term" else of_method)(key)
    largest = max(
        float(v.abs().max()) for k, v in one.items() if k != "loss" and not k.startswith("buffer")
    )
    assert largest > 1e-6
    for rank in range(WORLD):
        assert two[rank][name].keys() == one.keys()
        for k, value in one.items():
            ours, value = two[rank][name][k].double(), value.double()
            gradient = k != "loss" and not k.startswith("buffer")
            scale = largest if gradient else 1 + float(value.abs().max())
            error = float((ours - value).abs().max())
            assert error < 1e-9 * scale, (rank, k, error)
