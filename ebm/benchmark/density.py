"""Every way to learn a density, with one budget, beside exact maximum likelihood.

Continuous methods learn six 2-D sets with exact log density, each with the same network;
binary methods a 4x4 Ising model and bars and stripes, plain and with pixels flipped; joint
energy labeled Gaussians. All take the same number of steps, and the same number of gradients
of the energy in each of them, chains included: who spends fewer on an example gets larger
batches. (On binary data the oracle sums over all states besides.) The number that counts is
KL(data || model), by a sum over a grid a quarter wider than the data on each side, or over
all states.

Not all of them should reach the oracle. Denoising learns the density of noised data. Score
matching, exact and sliced, does not see the relative mass of modes far apart. Conditional
contrast sees it only through moves that reach from one to the other. The adversarial cost
is right where the generator goes. Ratio matching and probability flow see one-flip neighbors
of the data alone: they need every state to have some probability, which plain bars and
stripes refuse to all but thirty; persistent chains are caught in those.

A row keeps its landscape, so that `draw(rows)` makes one picture of all of them.
"""

import base64
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import methods
import toy_data
from ebm import checks, energies, evaluation
from ebm.memory import Replay
from ebm.method import Method
from ebm.training import Divergence, fit

ORACLE = "MaximumLikelihood"
EXAMPLES = 20_000
HIGH = 12.0
"""Nats above the lowest energy at which a landscape has its last color."""
CONTRASTS = (
    methods.NoiseContrastiveEstimation,
    methods.RankingNoiseContrastiveEstimation,
    methods.FlowContrastiveEstimation,
)
RESOLUTION = 80
"""Points of a landscape on each axis."""


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
    """Gradients of the energy, one for each example and each time that it was taken."""
    seconds: float
    """Processor time of the training."""
    landscape: str = field(default="", repr=False)
    """Energies above the lowest, up to HIGH, as bytes, packed; empty if there is no picture."""

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
    """Gradients of the energy in a step."""
    rate: float = 2e-3
    """Adam's; a tenth of it in the last quarter of the steps."""
    bounds: Any = None
    """Where a landscape is drawn; None if there is none."""


def run(*, quick: bool = False, seeds: int = 1, done: Sequence[Row] = ()) -> Iterator[Row]:
    """Yield one row for each method and set, each as soon as it is measured.

    Args:
        quick: Two sets of points and a tenth of the steps, to see that everything works.
        seeds: Runs to average over.
        done: Rows of an earlier run, which are not measured again.
    """
    checks.count("seeds", seeds)
    yield from measure(problems(quick=quick), seeds, done)


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


def measure(problems: Sequence[Problem], seeds: int, done: Sequence[Row] = ()) -> Iterator[Row]:
    """Yield the row of every contender on every problem, the oracle first."""
    known = {(row.data, row.method): row for row in done}
    for problem in problems:
        data = problem.draw(EXAMPLES, torch.Generator().manual_seed(1))
        oracle = math.nan
        for name, build in problem.contenders.items():
            row = known.get((problem.name, name))
            if row is None:
                row = _measured(problem, name, build, data, seeds, oracle)
            if name.startswith(ORACLE):
                oracle = row.kl
            yield row


def _measured(
    problem: Problem,
    name: str,
    build: Callable[[Any], Method],
    data: Any,
    seeds: int,
    oracle: float,
) -> Row:
    runs = [_train(problem, build, data, seed) for seed in range(seeds)]
    kls = torch.tensor([one[1] for one in runs], dtype=torch.float64)
    method, *_, evaluations, _ = runs[-1]
    return Row(
        problem.name,
        name,
        float(kls.mean()),
        float(kls.std()) if seeds > 1 else 0.0,
        float(kls.mean()) if name.startswith(ORACLE) else oracle,
        sum(one[2] for one in runs) / seeds,
        _accuracy(method, data),
        problem.steps,
        evaluations * problem.steps,
        sum(one[4] for one in runs) / seeds,
        _packed(method and method.energy, problem.bounds),
    )


def draw(rows: Sequence[Row]) -> Any:
    """Return a figure of all landscapes: a row for each method, a column for each set."""
    from matplotlib.figure import Figure

    from ebm.landscape import heatmap, palette

    shown = [row for row in rows if row.landscape]
    places = {p.name: p for p in problems(quick=False) if p.bounds is not None}
    sets = [name for name in places if any(row.data == name for row in shown)]
    names = list(dict.fromkeys(row.method for row in shown))
    size = (1.9 * len(sets), 2.05 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(names), len(sets), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for row in shown:
        ax = axes[names.index(row.method), sets.index(row.data)]
        problem = places[row.data]
        x = problem.draw(200, torch.Generator().manual_seed(1))
        x = x[0] if isinstance(x, tuple) else x
        extent = [edge for pair in problem.bounds for edge in pair]
        ax.imshow(
            unpacked(row.landscape),
            origin="lower",
            extent=extent,
            aspect="auto",
            cmap=palette.field(),
            norm=heatmap.norm(0.0, HIGH),
        )
        ax.plot(*x.T.numpy(), ".", color=palette.DATA, markersize=1.5)
        ax.set_title(f"{_words(row.method)}\nKL {row.kl:.2f}", fontsize=6.5)
    return figure


def _packed(energy: Callable[..., Tensor] | None, bounds: Any) -> str:
    """Return the landscape of an energy as text, as `unpacked` reads it."""
    if energy is None or bounds is None:
        return ""
    density = evaluation.on_grid(energy, bounds, resolution=RESOLUTION)
    heights = -density.log_density.view(RESOLUTION, RESOLUTION).mT
    levels = ((heights - heights.min()).clamp(max=HIGH) * (255 / HIGH)).round()
    return base64.b64encode(zlib.compress(levels.byte().numpy().tobytes(), 9)).decode()


def unpacked(landscape: str) -> NDArray[np.float64]:
    """Return the energies of a row's landscape above the lowest, (y, x)."""
    levels = np.frombuffer(zlib.decompress(base64.b64decode(landscape)), np.uint8)
    return levels.reshape(RESOLUTION, RESOLUTION).astype(np.float64) * (HIGH / 255)


def problems(*, quick: bool) -> list[Problem]:
    """Return the problems, fewer and smaller if quick."""
    names = ["two_moons", "eight_gaussians"]
    if not quick:
        names += ["rings", "pinwheel", "checkerboard", "uneven_gaussians"]
    part = 10 if quick else 1
    points = [_points(name, 1_200 // part) for name in names]
    binary = [_ising(1_000 // part), _bars(2_000 // part, 0.1), _bars(2_000 // part)]
    return [*points, _labeled(1_200 // part), *binary]


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
        "PersistentContrastiveDivergence": lambda x: methods.PersistentContrastiveDivergence(
            # Chains cannot cross between modes far apart: half of them start afresh.
            energies.MLP(2),
            replay=Replay(400, restart=0.5),
        ),
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
        name,
        lambda n, g: source(n, generator=g),
        judge,
        contenders,
        steps,
        4_000,
        rate=4e-3,
        bounds=bounds,
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
        # Its energy is another: hidden units have to find the couplings first.
        f"{ORACLE}, hidden units": lambda x: methods.MaximumLikelihood(
            energies.RestrictedBoltzmannMachine(16, 32), model.states
        ),
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


def _bars(steps: int, flips: float = 0.0) -> Problem:
    """Bars and stripes with so large a share of their pixels flipped.

    Without flips most states have no probability, and nothing but the data and their
    neighbors is seen by what looks at neighbors alone. With flips every state has some.
    """
    pictures = toy_data.bars_and_stripes(4)
    states = toy_data.ising.states
    machine = lambda: energies.RestrictedBoltzmannMachine(16, 32)  # noqa: E731

    def draw_pictures(n: int, generator: torch.Generator) -> Tensor:
        x = pictures[torch.randint(len(pictures), (n,), generator=generator)]
        return (x - (torch.rand(x.shape, generator=generator) < flips).float()).abs()

    def log_prob(x: Tensor) -> Tensor:
        wrong = (x[:, None] != pictures).sum(-1).double()
        rate = torch.tensor(flips, dtype=torch.float64)
        log = torch.xlogy(wrong, rate) + torch.xlogy(16 - wrong, 1 - rate)
        return torch.logsumexp(log, 1) - math.log(len(pictures))

    def judge(energy: Any) -> tuple[float, float]:
        density = evaluation.by_enumeration(energy, states)
        return density.kl(log_prob), density.total_variation(log_prob)

    contenders: dict[str, Callable[[Any], Method]] = {
        ORACLE: lambda x: methods.MaximumLikelihood(machine(), states),
        "RatioMatching": lambda x: methods.RatioMatching(machine()),
        "MinimumProbabilityFlow": lambda x: methods.MinimumProbabilityFlow(machine()),
        "RestrictedBoltzmannMachine": methods.RestrictedBoltzmannMachine.example,
    }
    name = "noisy_bars" if flips else "bars_and_stripes"
    rate = 3e-2 if flips else 1e-2
    return Problem(name, draw_pictures, judge, contenders, steps, 8_000, rate)


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
    start = time.process_time()
    try:
        top = problem.rate * _haste(method)
        for share, rate in ((0.75, top), (0.25, top / 10)):
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
        return None, math.inf, 1.0, evaluations, time.process_time() - start
    seconds = time.process_time() - start
    return method, *problem.judge(method.energy), evaluations, seconds


def _betas(method: Method) -> tuple[float, float]:
    # Two players undo each other's momentum, and chains lag behind an energy that has much.
    if isinstance(method, methods.PersistentContrastiveDivergence):
        return (0.5, 0.999)
    return (0.0, 0.9) if isinstance(method, methods.Adversarial) else (0.9, 0.999)


def _haste(method: Method) -> float:
    """Return how much larger than the problem's the rate of a method is."""
    # A contrast's gradient is bounded, and small where data and noise are told apart; two
    # players chase each other.
    if isinstance(method, CONTRASTS):
        return 2.0
    return 0.5 if isinstance(method, methods.Adversarial) else 1.0


def _batch_size(method: Method, data: Any, evaluations: int) -> int:
    """Return how many examples make a step of so many evaluations."""
    once, twice = (_evaluations(method, data, n) for n in (64, 128))
    each = (twice - once) / 64
    alike = 2 * once - twice  # whatever the batch: the oracle's sum
    if alike >= evaluations:  # it sums over all states: give it data enough for them
        return 1_000
    return min(EXAMPLES, max(64, round((evaluations - alike) / each)))


def _evaluations(method: Method, data: Any, batch_size: int) -> float:
    """Return the gradients of the energy in a step, averaged over the turns of two players.

    Every example that goes through the energy has one taken: in the parameters, or in itself,
    as a chain does. Where a gradient is differentiated again that counts as another.
    """
    count = 0
    gradient = torch.autograd.grad

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        count += len(inputs[0])

    def noted(*args: Any, **options: Any) -> Any:
        nonlocal count
        count += batch_size * bool(options.get("create_graph"))
        return gradient(*args, **options)

    seen = getattr(method, "classifier", None) or method.energy
    hook = seen.register_forward_hook(note)
    batch = tuple(part[:batch_size] for part in (data if isinstance(data, tuple) else (data,)))
    turns = 1 + getattr(method, "cost_steps", getattr(method, "energy_steps", 0))
    torch.autograd.grad = noted
    try:
        for method.step in range(turns):
            method.terms(*batch)
    finally:
        torch.autograd.grad = gradient
        hook.remove()
    method.step = 0
    return count / turns


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
