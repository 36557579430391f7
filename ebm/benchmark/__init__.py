"""Benchmarks: one harness, and the rows of every table that the docs show.

Each module here is one table: `run(...)` returns its rows, which are dataclasses, and
`print_table(rows)` prints them.
"""

import importlib
import inspect
import json
import pkgutil
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ebm.training.checkpoint import atomically


def names() -> list[str]:
    """Return the tables that there are."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in modules if hasattr(_table(name), "print_table")]


def run(name: str, *, quick: bool = False, seeds: int = 1, out: Path | None = None) -> None:
    """Measure a table, print it, and write it as JSON if there is a place.

    Raises:
        ValueError: There is no such table, or it has no use for seeds.
    """
    known = names()
    if name not in known:
        raise ValueError(f"table must be one of {', '.join(known)}, got {name!r}.")
    table = _table(name)
    options: dict[str, Any] = {"quick": quick}
    if seeds != 1:
        if "seeds" not in inspect.signature(table.run).parameters:
            raise ValueError(f"seeds must be 1 for {name}, got {seeds}: it trains nothing.")
        options["seeds"] = seeds
    rows = table.run(**options)
    table.print_table(rows)
    if out is not None:
        command = f"ebm benchmark {name}" + " --quick" * quick + f" --seeds {seeds}" * (seeds > 1)
        facts = {
            "command": command,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "rows": [asdict(row) for row in rows],
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts, indent=1) + "\n"
        atomically(out, lambda part: _put(part, text))


def _table(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def _put(path: Path, text: str) -> None:
    path.write_text(text)
