"""The page's JavaScript, its style and its frame: files beside this one, used as they are."""

import json
import re
from importlib.resources import files
from string import Template
from typing import Any

MODULES = (
    "decode",
    "random",
    "interpolant",
    "samplers",
    "particles",
    "law",
    "colors",
    "canvas",
    "controls",
    "heatmap",
    "charts",
    "surface",
    "map",
    "images",
    "address",
    "run",
    "panel",
    "stage",
    "bookmark",
    "layout",
    "numbers",
    "pulse",
    "explorer",
    "widget",
)
"""The modules, each after those that it imports."""

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def script() -> str:
    """Return all modules as one, for a page without a server or a notebook.

    They are put in a row, without the lines by which they import one another.
    """
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _read(f"{name}.js"))) for name in MODULES)


def style() -> str:
    """Return the style sheet."""
    return _read("explorer.css")


def document(page: dict[str, Any], title: str) -> str:
    """Return the page as one HTML file, with everything inside."""
    words = title.replace("&", "&amp;").replace("<", "&lt;")
    data = json.dumps(page, separators=(",", ":")).replace("<", "\\u003c")
    parts = {"title": words, "style": style(), "script": script(), "page": data}
    return Template(_read("page.html")).substitute(parts)


def _read(name: str) -> str:
    return (files("ebm.landscape.explorer") / "web" / name).read_text(encoding="utf-8")
