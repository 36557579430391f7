"""The audit as a command: a name in a file or a module, claims in words, an exit status."""

import importlib
import importlib.util
import json as json_
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

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
    thing = load(target)
    claimed = dict.fromkeys(traits)
    report = audit(thing, traits=claimed, cases=cases, seed=seed, collapse=collapse)
    show(json_.dumps(report.as_dict(), indent=2) if json else str(report))
    return 0 if report.ok else 1


def load(target: str) -> Any:
    """Return what "module:name" or "path/to/file.py:name" names; a class is instantiated.

    Raises:
        ValueError: There is no such file, module or name, or importing it raised.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(
            f"target must be module:name or file.py:name, got {target!r}. Write losses.py:my_loss."
        )
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [n for n in vars(found) if not n.startswith("_")]
            raise ValueError(
                f"target must name something in {place}, got {name!r}. "
                f"It has {', '.join(public[-12:]) or 'nothing'}."
            )
        found = getattr(found, part)
    return _instance(found, target)


def _instance(found: Any, target: str) -> Any:
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:
        raise ValueError(
            f"target must be an instance or a class without required arguments, got the class "
            f"{found.__name__} ({error}). Write loss = {found.__name__}(...) in the file and "
            f"audit {target.rpartition(':')[0]}:loss."
        ) from error


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"file must exist, got {path}. Check the path.")
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # the file may import its neighbors
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"_audited_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise ValueError(f"file must be Python, got {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"file must run, got {type(error).__name__} from {path}: {error}. Run it with python."
        ) from error
    return module


def _module(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"module must be importable, got {name} ({error}). "
            "Write path/to/file.py:name for a file."
        ) from error
    except Exception as error:
        raise ValueError(
            f"module must be importable, got {type(error).__name__} from {name}: {error}."
        ) from error
