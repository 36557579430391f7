"""Benchmarks: one harness, and the rows of every table that the docs show.

Each module with a `print_table(rows)` is one table: its `run(...)` returns or yields the rows,
which are dataclasses called `Row`.
"""

import difflib
import importlib
import inspect
import json
import pkgutil
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ebm.training.atomic import atomically


def names() -> list[str]:
    """Return the tables that there are."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in modules if hasattr(_table(name), "print_table")]


def run(
    name: str,
    *,
    quick: bool = False,
    seeds: int = 1,
    data: str | None = None,
    preset: str | None = None,
    peers: Path | None = None,
    out: Path | None = None,
) -> None:
    """Measure a table, print it, and write it as JSON if there is a place.

    Each row is written as soon as it is measured. A table that takes the rows already `done`
    goes on where a file of the same settings ends; one with a long row keeps checkpoints in
    a `folder` beside the file, and goes on inside it.

    Raises:
        ValueError: There is no such table, it has no use for an option, or the file holds
            rows of other settings.
    """
    table = _known(name)
    taken = inspect.signature(table.run).parameters
    options: dict[str, Any] = {}
    if data is not None:
        options["data"] = data
    if preset is not None:
        options["preset"] = preset
    facts: dict[str, Any] = {
        "table": name,
        "quick": quick,
        **options,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    if seeds != 1:
        options["seeds"] = seeds
    if peers is not None:
        options["peers"] = peers
    for option, value in options.items():
        if option not in taken:
            raise ValueError(f"{option} must be left out for {name}, got {value}: it has no use.")
    if out is not None and out.exists() and "done" in taken:
        options["done"] = _done(out, table, facts)
    words = [f"--{option} {value}" for option, value in options.items() if option != "done"]
    if out is not None and "folder" in taken:
        options["folder"] = out.with_suffix(".run")
    command = " ".join([f"ebm benchmark {name}", *["--quick"] * quick, *words])
    rows, ahead = [], list(options.get("done", ()))
    for row in table.run(quick=quick, **options):
        rows.append(row)
        if row in ahead:
            ahead.remove(row)
        if out is not None:  # rows done before that are still to come stay in the file
            kept = [asdict(row) for row in (*rows, *ahead)]
            _write(out, {"command": command, **facts, "rows": kept})
    table.print_table(rows)


def show(path: Path) -> None:
    """Print a table from the file that `run` wrote, below the command that made it."""
    stored = json.loads(path.read_text())
    table = _known(stored["table"])
    print(f"{stored['command']}  (torch {stored['torch']}, {stored['threads']} threads)\n")
    table.print_table([table.Row(**row) for row in stored["rows"]])


def _done(out: Path, table: Any, facts: dict[str, Any]) -> list[Any]:
    """Return the rows in a file, which must have been measured alike."""
    stored = json.loads(out.read_text())
    for fact in dict.fromkeys([*facts, *stored]):
        if fact not in ("command", "rows") and facts.get(fact) != stored.get(fact):
            raise ValueError(
                f"out must hold rows of the same {fact}, got {out} with {stored.get(fact)} "
                f"instead of {facts.get(fact)}. Choose another file, or delete it."
            )
    return [table.Row(**row) for row in stored["rows"]]


def _write(out: Path, facts: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1) + "\n"
    atomically(out, lambda part: _put(part, text))


def _known(name: str) -> Any:
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f" Did you mean {close[0]}?" if close else " Name one of them."
        raise ValueError(f"table must be one of {', '.join(known)}, got {name!r}.{meant}")
    return _table(name)


def _table(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def _put(path: Path, text: str) -> None:
    path.write_text(text)
