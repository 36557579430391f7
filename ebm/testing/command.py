"""The audit as a command: a name in a file or a module, claims in words, an exit status."""

import json as json_
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from hypothesis.configuration import set_hypothesis_home_dir

from ebm import target as targets
from ebm.testing.audit import audit
from ebm.testing.claims import claims
from ebm.testing.claims import like as known


def cli(
    target: str,
    *,
    claim: str = "",
    like: str = "",
    json: bool = False,
    cases: int = 50,
    seed: int | None = None,
    compile: bool = False,
    collapse: bool = True,
    show: Callable[[str], object] = lambda text: sys.stdout.write(text + "\n"),
) -> int:
    """Return the exit status of an audit that was shown: 0, or 1 where a law fails.

    Args:
        target: "module:name" or "path/to/file.py:name".
        claim: What is claimed, in words: "swap, rotation, collapse=log(n)".
        like: A known loss that it is like, such as "vicreg".
        json: Show the verdicts by law name as JSON.
        cases: Batches drawn for each law.
        seed: Draws other batches; the same ones every time if None.
        compile: Try the law of the compiled graph too; it needs a compiler and minutes.
        collapse: Look where free embeddings end under a loss of views.
        show: Shows text; on standard output by default.

    Raises:
        ValueError: The target, a claim or a name cannot be used, or it could not be called.
    """
    traits = (*(known(like) if like else ()), *claims(claim))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)  # of the weights that the file makes
        thing = targets.load(target)
    set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")  # not the user's folder
    claimed = dict.fromkeys(traits)
    report = audit(
        thing, traits=claimed, cases=cases, seed=seed, compile=compile, collapse=collapse
    )
    if report.name == "<lambda>":  # it has a name in its file
        report = replace(report, name=target.rpartition(":")[2])
    show(json_.dumps(report.as_dict(), indent=2) if json else str(report))
    return 0 if report.ok else 1
