"""Other libraries: installed in a folder of their own, never dependencies.

They come without their dependencies, so that torch stays as it is; what is imported of them
needs few. A library that cannot be imported is absent, and its column says so.
"""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

PACKAGES = (
    "lightly==1.6.0",
    "lightly-utils==0.0.2",
    "torchvision==0.29.1",
    "solo-learn==1.0.2",
    "torchebm==0.8.9",
    "pytorch-metric-learning==2.9.0",
    "kornia==0.9.0",
    "kornia-rs",
)
"""What is installed; torchvision, lightly-utils and kornia-rs serve the others."""

NAMES = {
    "lightly": "lightly",
    "solo-learn": "solo",
    "torchebm": "torchebm",
    "metric-learning": "pytorch_metric_learning",
    "kornia": "kornia",
    "scikit-learn": "sklearn",
}
"""The libraries of the table, and the packages that are imported."""


class Peers:
    """The other libraries that are here, by the table's name for them.

    Args:
        folder: Where they are, and where those that are missing are installed; None takes
            only what can be imported already.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        if folder is not None:
            _install(folder)
            sys.path.append(str(folder.resolve()))
        self.absent: dict[str, str] = {}

    def module(self, peer: str, module: str) -> Any:
        """Return a module of a library, or None if it is absent."""
        try:
            if peer == "lightly":
                _torchvision()
            if peer == "solo-learn":
                _solo()
            return importlib.import_module(module)
        except (ImportError, RuntimeError, AttributeError) as error:
            self.absent.setdefault(peer, f"{type(error).__name__}: {error}".split("\n")[0])
            return None


def _install(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    missing = [package for package in PACKAGES if not _there(folder, package)]
    if missing:
        print(f"Installing {', '.join(missing)} into {folder}")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        try:
            subprocess.run([*command, str(folder), *missing], check=True)
        except subprocess.CalledProcessError as error:
            raise OSError(
                f"peers must be installed from the package index, got exit {error.returncode} of "
                "pip. Go on without --peers, or look at its message above."
            ) from error


def _there(folder: Path, package: str) -> bool:
    name, _, version = package.replace("-", "_").partition("==")
    return any(folder.glob(f"{name}-{version.replace('_', '-') or '*'}.dist-info"))


def _torchvision() -> None:
    """Import torchvision, whose operators a build of torch without CUDA may lack."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        _KEPT.append(library)
        importlib.import_module("torchvision")


def _solo() -> None:
    """Make solo-learn's loss files importable alone: the package itself needs Lightning."""
    if "solo" in sys.modules:
        return
    found = importlib.util.find_spec("solo")
    if found is None or found.submodule_search_locations is None:
        raise ImportError("No module named 'solo'")
    bare = ModuleType("solo")
    bare.__path__ = list(found.submodule_search_locations)
    sys.modules["solo"] = bare


_KEPT: list[Any] = []
"""Libraries of operators, which vanish with the object that declared them."""
