"""Every way to learn a density, with one budget, beside exact maximum likelihood.

Continuous methods learn six 2-D sets with exact log density, each with the same network;
binary methods a 4x4 Ising model and bars and stripes; joint energy labeled Gaussians. All
take the same number of steps, and the same number of examples goes through the energy in
each of them, chains included: who spends fewer on an example gets larger batches. (On binary
data the oracle sums over all states besides.) The number that counts is KL(data || model),
by a sum over a grid a quarter wider than the data on each side, or over all states.

Not all of them should reach the oracle. Denoising learns the density of noised data. Score
matching, exact and sliced, does not see the relative mass of modes far apart. Conditional
contrast sees it only through moves that reach from one to the other. The adversarial cost
is right where the generator goes.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import methods
import toy_data
from ebm import energies, evaluation
from ebm.method import Method
from ebm.training import Divergence, fit

ORACLE = "MaximumLikelihood"
EXAMPLES = 20_000
HIGH = 12.0
"""Nats above the lowest energy at which a landscape has its last color."""


@dataclass(frozen=True)
class Row:
    """One method on one set, averaged over seeds."""

    data: str
    method: str
    kl: float
    """KL(data || model) in nats; infinite if a run diverged."""
    spread: float
    """Standard deviation of the KL over seeds."""
    oracle: float
    """The KL of exact maximum likelihood with the same budget."""
    total_variation: float
    """Half the sum of |data - model|, 0 to 1."""
    accuracy: float | None
    """Share of labels that are right, where there are labels."""
    steps: int
    evaluations: int
    """Examples that went through the energy."""
    seconds: float

    @property
    def gap(self) -> float:
        """Nats above the oracle."""
        return self.kl - self.oracle


@dataclass(frozen=True)
class Problem:
    """A distribution, what may learn it, and how the result is judged."""

    name: str
    draw: Callable[[int, torch.Generator], Any]
    judge: Callable[[Any], tuple[float, float]]
    """KL and total variation of an energy."""
    contenders: dict[str, Callable[[Any], Method]]
    steps: int
    evaluations: int
    """Examples through the energy in a step."""
    rate: float = 2e-3
    """Adam's; a tenth of it in the last quarter of the steps."""
    bounds: Any = None
    """Where a landscape is drawn; None if there is none."""


@dataclass
class Result:
    """A row, and the last trained energy for the picture."""

    row: Row
    method: Method | None = field(repr=False)
    problem: Problem = field(repr=False)
    data: Any = field(repr=False)


def run(*, quick: bool = False, seeds: int = 1, picture: Path | None = None) -> list[Row]:
    """Return one row for each method and set.

    Args:
        quick: Two sets of points and a tenth of the steps, to see that everything works.
        seeds: Runs to average over.
        picture: Where to write all landscapes, as PNG.
    """
    results = measure(problems(quick=quick), seeds)
    if picture is not None:
        draw(results).savefig(picture, dpi=80)
    return [result.row for result in results]


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(
        f"{'data':18} {'method':40} {'KL':>8} {'+-':>6} {'gap':>8} {'TV':>6} {'acc':>6} "
        f"{'steps':>7} {'evals':>10} {'s':>7}"
    )
    for row in rows:
        accuracy = "" if row.accuracy is None else f"{row.accuracy:.3f}"
        print(
            f"{row.data:18} {row.method:40} {row.kl:8.3f} {row.spread:6.3f} {row.gap:8.3f} "
            f"{row.total_variation:6.3f} {accuracy:>6} {row.steps:7d} {row.evaluations:10d} "
            f"{row.seconds:7.1f}"
        )


def measure(problems: Sequence[Problem], seeds: int) -> list[Result]:
    """Return the result of every contender on every problem, the oracle first."""
    results = []
    for problem in problems:
        data = problem.draw(EXAMPLES, torch.Generator().manual_seed(1))
        oracle = math.nan
        for name, build in problem.contenders.items():
            runs = [_train(problem, build, data, seed) for seed in range(seeds)]
            kls = torch.tensor([one[1] for one in runs], dtype=torch.float64)
            if name == ORACLE:
                oracle = float(kls.mean())
            row = Row(
                problem.name,
                name,
                float(kls.mean()),
                float(kls.std()) if seeds > 1 else 0.0,
                oracle,
                sum(one[2] for one in runs) / seeds,
                _accuracy(runs[-1][0], data),
                problem.steps,
                runs[-1][3] * problem.steps,
                sum(one[4] for one in runs) / seeds,
            )
            results.append(Result(row, runs[-1][0], problem, data))
    return results


def draw(results: Sequence[Result]) -> Any:
    """Return a figure of all landscapes: a row for each set of points, a column a method."""
    from matplotlib.figure import Figure

    shown = [result for result in results if result.problem.bounds is not None]
    sets = list(dict.fromkeys(result.row.data for result in shown))
    names = list(dict.fromkeys(result.row.method for result in shown))
    size = (2.2 * len(names), 2.3 * len(sets))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(sets), len(names), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for result in shown:
        ax = axes[sets.index(result.row.data), names.index(result.row.method)]
        ax.set_axis_on()
        x = result.data[0] if isinstance(result.data, tuple) else result.data
        if result.method is not None:
            density = evaluation.on_grid(result.method.energy, result.problem.bounds, resolution=80)
            energy = -density.log_density.view(80, 80).mT
            energy = (energy - energy.min()).clamp(max=HIGH)
            extent = [edge for pair in result.problem.bounds for edge in pair]
            ax.imshow(
                energy.numpy(), origin="lower", extent=extent, aspect="auto", vmin=0, vmax=HIGH
            )
            ax.plot(*x[:200].T.numpy(), ".", color="white", markersize=1)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set(xlabel="", ylabel="")
        words = _words(result.row.method)
        ax.set_title(f"{words}\nKL {result.row.kl:.3f}", fontsize=7)
    return figure


def problems(*, quick: bool) -> list[Problem]:
    """Return the problems, fewer and smaller if quick."""
    names = ["two_moons", "eight_gaussians"]
    if not quick:
        names += ["rings", "pinwheel", "checkerboard", "uneven_gaussians"]
    part = 10 if quick else 1
    points = [_points(name, 2_000 // part) for name in names]
    return [*points, _ising(1_000 // part), _bars(2_000 // part), _labeled(2_000 // part)]


def _points(name: str, steps: int) -> Problem:
    source = getattr(toy_data, name)
    bounds = _widened(source.bounds)

    def judge(energy: Any) -> tuple[float, float]:
        density = evaluation.on_grid(energy, bounds)
        return density.kl(source.log_prob), density.total_variation(source.log_prob)

    def oracle(x: Tensor) -> Method:
        support, volume = evaluation.cells(bounds, 56)
        return methods.MaximumLikelihood(energies.MLP(2), support, volume=volume)

    contenders: dict[str, Callable[[Any], Method]] = {
        ORACLE: oracle,
        "ContrastiveDivergence": methods.ContrastiveDivergence.example,
        "PersistentContrastiveDivergence": methods.PersistentContrastiveDivergence.example,
        "NoiseContrastiveEstimation": methods.NoiseContrastiveEstimation.example,
        "RankingNoiseContrastiveEstimation": methods.RankingNoiseContrastiveEstimation.example,
        "ConditionalNoiseContrastiveEstimation": (
            methods.ConditionalNoiseContrastiveEstimation.example
        ),
        "ScoreMatching": methods.ScoreMatching.example,
        "SlicedScoreMatching": methods.SlicedScoreMatching.example,
        "DenoisingScoreMatching": methods.DenoisingScoreMatching.example,
        "Adversarial": lambda x: methods.Adversarial.example(x, entropy_weight=1.0, blur=0.15),
    }
    try:
        import zuko  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        pass
    else:
        contenders["FlowContrastiveEstimation"] = methods.FlowContrastiveEstimation.example
    return Problem(
        name, lambda n, g: source(n, generator=g), judge, contenders, steps, 4_000, bounds=bounds
    )


def _ising(steps: int) -> Problem:
    model = toy_data.ising
    pairs = lambda: energies.BoltzmannMachine(16)  # noqa: E731

    def judge(energy: Any) -> tuple[float, float]:
        density = evaluation.by_enumeration(energy, model.states)
        return density.kl(model.log_prob), density.total_variation(model.log_prob)

    contenders: dict[str, Callable[[Any], Method]] = {
        ORACLE: lambda x: methods.MaximumLikelihood(pairs(), model.states),
        "RatioMatching": lambda x: methods.RatioMatching(pairs()),
        "MinimumProbabilityFlow": lambda x: methods.MinimumProbabilityFlow(pairs()),
        "BoltzmannMachine": methods.BoltzmannMachine.example,
        "RestrictedBoltzmannMachine": methods.RestrictedBoltzmannMachine.example,
    }
    return Problem(
        "ising",
        lambda n, g: model(n, generator=g),
        judge,
        contenders,
        steps,
        8_000,
        rate=1e-2,
    )


def _bars(steps: int) -> Problem:
    pictures = toy_data.bars_and_stripes(4)
    states = toy_data.ising.states
    machine = lambda: energies.RestrictedBoltzmannMachine(16, 32)  # noqa: E731

    def draw_pictures(n: int, generator: torch.Generator) -> Tensor:
        return pictures[torch.randint(len(pictures), (n,), generator=generator)]

    def log_prob(x: Tensor) -> Tensor:
        found = (x[:, None] == pictures).all(-1).any(-1)
        return torch.where(found, -math.log(len(pictures)), -math.inf)

    def judge(energy: Any) -> tuple[float, float]:
        density = evaluation.by_enumeration(energy, states)
        return density.kl(log_prob), density.total_variation(log_prob)

    contenders: dict[str, Callable[[Any], Method]] = {
        ORACLE: lambda x: methods.MaximumLikelihood(machine(), states),
        "RatioMatching": lambda x: methods.RatioMatching(machine()),
        "MinimumProbabilityFlow": lambda x: methods.MinimumProbabilityFlow(machine()),
        "RestrictedBoltzmannMachine": methods.RestrictedBoltzmannMachine.example,
    }
    return Problem("bars_and_stripes", draw_pictures, judge, contenders, steps, 8_000, 1e-2)


def _labeled(steps: int) -> Problem:
    source = toy_data.labeled_gaussians
    bounds = _widened(source.bounds)

    def judge(energy: Any) -> tuple[float, float]:
        density = evaluation.on_grid(energy, bounds)
        return density.kl(source.log_prob), density.total_variation(source.log_prob)

    contenders: dict[str, Callable[[Any], Method]] = {
        ORACLE: lambda data: _JointLikelihood(data, *evaluation.cells(bounds, 56)),
        "JointEnergy": methods.JointEnergy.example,
    }
    return Problem(
        "labeled_gaussians",
        lambda n, g: source(n, generator=g),
        judge,
        contenders,
        steps,
        4_000,
        bounds=bounds,
    )


class _JointLikelihood(Method):
    """The oracle of joint energy: cross entropy, and exact likelihood of the free energy."""

    def __init__(self, data: tuple[Tensor, Tensor], support: Tensor, volume: float) -> None:
        super().__init__()
        self.joint = methods.JointEnergy.example(data)
        self.joint.density_weight = 0.0
        self.classifier = self.joint.classifier
        self.likelihood = methods.MaximumLikelihood(self.joint.energy, support, volume=volume)

    def energy(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return E(x, y), or E(x)."""
        return self.joint.energy(x, y)

    def terms(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the cross entropy and the negative log likelihood."""
        return {**self.joint.terms(x, labels), **self.likelihood.terms(x)}


def _train(
    problem: Problem, build: Callable[[Any], Method], data: Any, seed: int
) -> tuple[Method | None, float, float, int, float]:
    """Return the method, KL, total variation, evaluations in a step, and seconds."""
    torch.manual_seed(seed)
    method = build(data)
    batch_size = _batch_size(method, data, problem.evaluations)
    evaluations = round(_evaluations(method, data, batch_size))
    start = time.perf_counter()
    try:
        for share, rate in ((0.75, problem.rate), (0.25, problem.rate / 10)):
            optimizer = torch.optim.Adam(method.parameters(), lr=rate, betas=_betas(method))
            fit(
                method,
                data,
                steps=max(1, round(share * problem.steps)),
                batch_size=batch_size,
                optimizer=optimizer,
                seed=seed,
                progress=False,
            )
    except Divergence:
        return None, math.inf, 1.0, evaluations, time.perf_counter() - start
    seconds = time.perf_counter() - start
    return method, *problem.judge(method.energy), evaluations, seconds


def _betas(method: Method) -> tuple[float, float]:
    # Two players undo each other's momentum.
    return (0.0, 0.9) if isinstance(method, methods.Adversarial) else (0.9, 0.999)


def _batch_size(method: Method, data: Any, evaluations: int) -> int:
    """Return how many examples make a step of so many evaluations."""
    once, twice = (_evaluations(method, data, n) for n in (64, 128))
    each = (twice - once) / 64
    alike = 2 * once - twice  # whatever the batch: the oracle's sum
    return min(EXAMPLES, max(64, round((evaluations - alike) / each)))


def _evaluations(method: Method, data: Any, batch_size: int) -> float:
    """Return the examples that go through the energy in a step, averaged over two turns."""
    count = 0

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        count += len(inputs[0])

    seen = getattr(method, "classifier", None) or method.energy
    hook = seen.register_forward_hook(note)
    batch = tuple(part[:batch_size] for part in (data if isinstance(data, tuple) else (data,)))
    for method.step in (0, 1):
        method.terms(*batch)
    hook.remove()
    method.step = 0
    return count / 2


def _accuracy(method: Method | None, data: Any) -> float | None:
    classifier = getattr(method, "classifier", None)
    if classifier is None or not isinstance(data, tuple):
        return None
    with torch.no_grad():
        found = classifier(data[0]).argmax(1)
    return float((found == data[1]).double().mean())


def _widened(bounds: Any, margin: float = 0.25) -> list[tuple[float, float]]:
    return [(low - margin * (high - low), high + margin * (high - low)) for low, high in bounds]


def _words(name: str) -> str:
    return "".join(" " + c.lower() if c.isupper() else c for c in name).strip()
