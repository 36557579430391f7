"""Samplers beside torchebm's: ten thousand chains, in the plane."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ebm import energies
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, Work
from ebm.energy import as_energy, energy_and_score
from ebm.samplers import HMC, MALA, Langevin, Sampler, UnderdampedLangevin

STEP = 0.01


def tasks(peers: Peers, device: torch.device, *, quick: bool = False) -> Iterator[Task]:
    """Yield the tasks; quick ones take fewer chains and steps, and compile nothing."""
    bench = _Bench(peers, device, compile=not quick)
    chains, long, short = (500, 10, 4) if quick else (10_000, 1_000, 50)
    targets: dict[str, Any] = {
        "double well": double_well,
        "mixture": energies.GaussianMixture().to(device),
        "MLP 2-128-128-1": energies.MLP(2).to(device),
    }
    for name, energy in targets.items():
        wide = name.startswith("MLP")
        goal = 0.7 if wide else 0.1 if device.type == "cuda" else 0.4
        # Where a step takes ten milliseconds, fewer of them tell as much.
        steps = long if name == "double well" else max(long // 10, 4)
        yield bench.langevin(name, energy, chains, steps, goal)
    for name, energy in targets.items():
        steps = short if name == "double well" else max(short // 10, 1)
        yield bench.hmc(name, energy, chains, steps)
    for kind in (MALA(STEP, compile=not quick), UnderdampedLangevin(0.1, compile=not quick)):
        yield bench.alone(kind, "double well", double_well, chains, short)
    growing = (100, 200, 400) if quick else (1_000, 4_000, 16_000, 64_000)
    for count in growing:
        yield bench.grown("chains", count, double_well, count, short)
    for steps in (5, 10, 20) if quick else (50, 200, 800, 3_200):
        yield bench.grown("steps", steps, double_well, chains, steps)


def double_well(x: Tensor) -> Tensor:
    """Return torchebm's double well of each point: 2 sum_i (x_i^2 - 1)^2."""
    return 2 * (x.square() - 1).square().sum(-1)


class _Bench:
    def __init__(self, peers: Peers, device: torch.device, *, compile: bool) -> None:
        self.device, self.compile = device, compile
        self.core = peers.module("torchebm", "torchebm.core")
        self.theirs = peers.module("torchebm", "torchebm.samplers")

    def start(self, chains: int) -> Tensor:
        return torch.randn(chains, 2, generator=torch.Generator().manual_seed(0)).to(self.device)

    def langevin(self, name: str, energy: Any, chains: int, steps: int, goal: float) -> Task:
        x, sides = self.start(chains), {}
        if self.theirs:
            sampler = self.theirs.LangevinDynamics(
                self.model(energy), step_size=STEP, device=self.device
            )
            sides["torchebm"] = _theirs(sampler, x)
        ours = _ours(Langevin(STEP, compile=self.compile), energy, x)
        return Task(
            "samplers", f"Langevin, {name}", f"{chains} chains, {steps} steps",
            ours(steps), {peer: run(steps) for peer, run in sides.items()},
            limit=_bare(energy, x, min(steps, 20)), limit_repeats=max(1, steps // 20),
            light={"": ours(10), **{peer: run(10) for peer, run in sides.items()}},
            time_goal=goal, seconds=4,
        )  # fmt: skip

    def hmc(self, name: str, energy: Any, chains: int, steps: int) -> Task:
        x, sides = self.start(chains), {}
        if self.theirs:
            sampler = self.theirs.HamiltonianMonteCarlo(
                self.model(energy), step_size=0.1, n_leapfrog_steps=10, device=self.device
            )
            sides["torchebm"] = _theirs(sampler, x)
        ours = _ours(HMC(0.1, leapfrog_steps=10, compile=self.compile), energy, x)
        return Task(
            "samplers", f"HMC, {name}", f"{chains} chains, {steps} x 10 steps",
            ours(steps), {peer: run(steps) for peer, run in sides.items()},
            limit=_bare(energy, x, 10), limit_repeats=steps,
            light={"": ours(2), **{peer: run(2) for peer, run in sides.items()}},
            time_goal=0.5, seconds=4,
        )  # fmt: skip

    def alone(self, sampler: Sampler, name: str, energy: Any, chains: int, steps: int) -> Task:
        x = self.start(chains)
        ours = _ours(sampler, energy, x)
        return Task(
            "samplers", f"{type(sampler).__name__}, {name}", f"{chains} chains, {steps} steps",
            ours(steps), {}, limit=_bare(energy, x, steps), light={"": ours(5)},
        )  # fmt: skip

    def grown(self, growing: str, value: int, energy: Any, chains: int, steps: int) -> Task:
        ours = _ours(Langevin(STEP), energy, self.start(chains))
        return Task(
            "samplers", f"Langevin, growing {growing}", f"{chains} chains, {steps} steps",
            ours(steps), {}, light={"": ours(min(steps, 20))}, growth=(growing, value), seconds=1,
        )  # fmt: skip

    def model(self, energy: Any) -> Any:
        """Return the energy as torchebm's: its own double well, any other wrapped."""
        if energy is double_well:
            return self.core.DoubleWellModel(device=self.device)
        wrapped = as_energy(energy)

        class Model(self.core.BaseModel):
            def __init__(self, device: Any) -> None:
                super().__init__(device=device)
                self.energy = wrapped

            def forward(self, x: Tensor) -> Tensor:
                return self.energy(x)

        return Model(self.device).requires_grad_(False)


def _ours(sampler: Sampler, energy: Any, x: Tensor) -> Callable[[int], Work]:
    return lambda steps: lambda: sampler.move(energy, x, steps)


def _theirs(sampler: Any, x: Tensor) -> Callable[[int], Work]:
    return lambda steps: lambda: sampler.sample(x=x, n_steps=steps)


def _bare(energy: Any, x: Tensor, times: int) -> Work:
    """Return the energy's own forward and backward, so many times."""
    energy = as_energy(energy)

    def work() -> None:
        for _ in range(times):
            energy_and_score(energy, x)

    return work
