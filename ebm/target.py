"""Targets: what `module:name` or `path/to/file.py:name` names."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


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
            f"{found.__name__} ({error}). Write thing = {found.__name__}(...) in the file and "
            f"name {target.rpartition(':')[0]}:thing."
        ) from error


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"file must exist, got {path}. Check the path.")
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # the file may import its neighbors
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"_named_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise ValueError(f"file must be Python, got {path}. Give it the ending .py.")
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
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"module must be importable, got {type(error).__name__} from {name}: {error}. "
            "Import it in Python first."
        ) from error
