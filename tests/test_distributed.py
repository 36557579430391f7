"""Two processes equal one: parameters, buffers, history, and a checkpoint in between."""

import os
import socket

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import nn

import ebm
import methods
from ebm import networks

pytestmark = pytest.mark.slow

X = torch.randn(64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = X + 0.1 * torch.randn(64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y[::2] += 3.0  # the ranks see different statistics


class Replayed(ebm.Method):
    """Persistent chains under dynamics without noise, and a moving average."""

    def __init__(self, energy):
        super().__init__()
        self.energy = ebm.as_energy(energy)
        self.replay = ebm.memory.Replay(48, restart=0.0)

    def terms(self, x):
        chains, slots = self.replay.draw(x)
        chains = ebm.samplers.Langevin(0.01, temperature=0.0).move(self.energy, chains, 2)
        self.replay.stage(slots, chains)
        return {"data": self.energy(x), "negatives": -self.energy(chains)}


def encoder():
    torch.manual_seed(0)
    projector = networks.Projector([8, 8, 6])
    return networks.MLP([4, 8, 8]).double(), projector.double()


def build(name):
    torch.manual_seed(0)
    data = (X, Y)
    if name == "VICReg":
        return methods.VICReg(*encoder()), data
    if name == "SimCLR":
        return methods.SimCLR(*encoder(), temperature=0.3), data
    if name == "Autoencoder":
        return methods.Autoencoder(nn.Linear(4, 2).double(), nn.Linear(2, 4).double()), X
    if name == "KMeans":
        return methods.KMeans(5, start=X[:5]), X
    return Replayed(ebm.energies.MLP(4, hidden=(8,)).double()), X


def descent(method):
    # Adam would blow up the rounding noise of gradients that are zero, such as that of a
    # bias in front of batch norm.
    return torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)


def train(method, data, fabric=None, **options):
    options = {"steps": 20, "optimizer": descent, **options}
    return ebm.fit(method, data, batch_size=32, fabric=fabric, seed=3, progress=False, **options)


def worker(rank, port, name, folder):
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    os.environ["MASTER_PORT"] = str(port)
    torch.set_num_threads(1)
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    method, data = build(name)
    history = train(method, data, fabric, out=folder / "run")
    torch.save((method.state_dict(), history.columns), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["VICReg", "SimCLR", "Autoencoder", "KMeans", "Replayed"])
def test_two_processes_equal_one_on_the_concatenated_batch(tmp_path, name):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(worker, (port, name, tmp_path), nprocs=2)
    method, data = build(name)
    history = train(method, data)
    expected = method.state_dict()
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for key, value in expected.items():
        assert torch.equal(states[0][0][key], states[1][0][key]), key
        torch.testing.assert_close(states[0][0][key], value, rtol=0, atol=1e-10, msg=key)
    for column in history.names:
        ours = torch.tensor(states[0][1][column], dtype=torch.float64)
        torch.testing.assert_close(ours, torch.from_numpy(history[column]), rtol=1e-9, atol=1e-9)
    again, _ = build(name)
    assert ebm.load(tmp_path / "run", into=again).step == history.steps[-1]


def test_a_run_may_go_on_with_another_number_of_processes(tmp_path):
    whole, data = build("VICReg")
    train(whole, data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first, _ = build("VICReg")
    train(first, data, steps=9, out=tmp_path / "run")
    multiprocessing.spawn(resumer, (port, tmp_path), nprocs=2)
    ours = torch.load(tmp_path / "0.pt", weights_only=True)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-10, msg=key)


def resumer(rank, port, folder):
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    os.environ["MASTER_PORT"] = str(port)
    torch.set_num_threads(1)
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    method, data = build("VICReg")
    train(method, data, fabric, out=folder / "run", resume=True)
    torch.save(method.state_dict(), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
