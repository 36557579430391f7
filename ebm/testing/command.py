"""The audit as a command: a name in a file or a module, claims in words, an exit status."""

import json as json_
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

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
        collapse: Look where free embeddings end under a loss of views.
        show: Shows text; on standard output by default.

    Raises:
        ValueError: The target, a claim or a name cannot be used, or it could not be called.
    """
    traits = (*(known(like) if like else ()), *claims(claim))
    thing = targets.load(target)
    set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")  # not the user's folder
    claimed = dict.fromkeys(traits)
    report = audit(thing, traits=claimed, cases=cases, seed=seed, collapse=collapse)
    show(json_.dumps(report.as_dict(), indent=2) if json else str(report))
    return 0 if report.ok else 1
