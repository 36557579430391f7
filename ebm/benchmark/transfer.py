"""Transfer: what an encoder that saw one set of pictures is worth on another.

An encoder is trained on Fashion-MNIST without labels, one method of each family, in the
budget of the table of embeddings. Then it meets MNIST with 1, 10 and 100 % of the labels:
the linear probe leaves it as it is, fine-tuning trains it on. Beside them stand the same net
before any training, whose fine-tuning is training from scratch, and the net trained with the
labels of Fashion-MNIST. The test pictures are all of MNIST's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import torch

from ebm import checks, evaluation
from ebm.benchmark import embeddings
from toy_data.images import Images


@dataclass(frozen=True)
class Row:
    """One start, one share of the labels, once."""

    start: str
    """How the encoder was trained before, or `SCRATCH`."""
    seed: int
    share: float
    """Of the labels."""
    labels: int
    """Number of labels."""
    probe: float
    """Test accuracy of the linear probe on the frozen encoder."""
    fine_tuned: float
    """Test accuracy of the encoder trained on with a linear classifier."""


SCRATCH = "from scratch"
STARTS = (SCRATCH, "SimCLR", "VICReg", "BYOL", "SwAV", "supervised")
SHARES = (0.01, 0.1, 1.0)
STEPS = 300
"""Steps of fine-tuning, at each share."""


def run(
    *,
    quick: bool = False,
    seeds: int = 1,
    preset: str | None = None,
    done: Sequence[Row] = (),
) -> Iterator[Row]:
    """Yield the rows, each as soon as it is measured, those already done first.

    Args:
        quick: A few steps, from digits to digits, to see that everything works.
        seeds: Runs of every start; each has its own labels.
        preset: small or large, the budget of training before, as in the table of embeddings.
        done: Rows of an earlier run, which are not measured again.

    Raises:
        ValueError: The preset has no such name, or the data cannot be loaded.
    """
    checks.count("seeds", seeds)
    preset = preset or ("quick" if quick else "small")
    if preset not in embeddings.PRESETS:
        known = ", ".join(embeddings.PRESETS)
        raise ValueError(f"preset must be one of {known}, got {preset!r}.")
    source, target = ("digits", "digits") if quick else ("fashion-mnist", "mnist")
    budget = embeddings.PRESETS[preset]
    before = embeddings.SETS[source]("train")
    before = Images(before.images[: budget.examples], before.labels[: budget.examples])
    view = embeddings.common_view(source, before.images.shape[-1])
    train, test = (embeddings.SETS[target](split) for split in ("train", "test"))
    found = {(row.start, row.seed, row.share): row for row in done}
    for seed in range(seeds):
        for start in STARTS:
            known = [found.get((start, seed, share)) for share in SHARES]
            if all(known):
                yield from (row for row in known if row is not None)
                continue
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                encoder = budget.encoder(before.images.shape[1])
                if start != SCRATCH:
                    embeddings.trained(start, encoder, budget, view, before, seed)
            yield from _measured(start, seed, encoder, train, test, 20 if quick else STEPS)


def print_table(rows: Sequence[Row]) -> None:
    """Print, for each start and share of the labels, the mean of both accuracies over seeds."""
    shares = list(dict.fromkeys(row.share for row in rows))
    print(" " * 14 + "".join(f" | {f'{share:.0%} of the labels':^21}" for share in shares))
    print(f"{'start':14}" + f" | {'probe %':>9} {'tuned %':>11}" * len(shares) + "   seeds")
    for start in dict.fromkeys(row.start for row in rows):
        line = f"{start:14}"
        for share in shares:
            own = [row for row in rows if (row.start, row.share) == (start, share)]
            if not own:  # a run that was stopped
                line += f" | {'-':>9} {'-':>11}"
                continue
            probe, tuned = mean(row.probe for row in own), mean(row.fine_tuned for row in own)
            line += f" | {100 * probe:9.1f} {100 * tuned:11.1f}"
        print(f"{line} {len({row.seed for row in rows if row.start == start}):7}")


def _measured(
    start: str, seed: int, encoder: torch.nn.Module, train: Images, test: Images, steps: int
) -> Iterator[Row]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(train.labels), generator=generator)
    images, labels = train.images[order], train.labels[order]
    device = next(encoder.parameters()).device
    asked = embeddings.features(encoder, test.images)
    answers = test.labels.to(device)
    for share in SHARES:
        count = max(round(share * len(labels)), 1)
        some, named = images[:count], labels[:count].to(device)
        fitted = embeddings.features(encoder, some)
        probe = evaluation.linear_accuracy(fitted, named, asked, answers)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            tuned = evaluation.fine_tuned_accuracy(
                encoder,
                some.to(device),
                named,
                test.images.to(device),
                answers,
                steps=steps,
                generator=generator,
            )
        yield Row(start, seed, share, count, probe, tuned)
