"""Sphinx: furo, pages executed by MyST-NB, formulas by a MathJax that is part of the build."""

import hashlib
import logging
import os
import re
import shutil
from pathlib import Path

from jupyter_cache import get_cache
from sphinx.errors import ExtensionError

import ebm

HERE = Path(__file__).parent

# The pages' kernels: pictures inline, one thread each, a profile of their own that reports
# errors only, and a warning is an error there too.
os.environ.pop("MPLBACKEND", None)
os.environ |= {
    "IPYTHONDIR": str(HERE / "_build" / "ipython"),
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "error::UserWarning,error::RuntimeWarning,error::FutureWarning",
}
profile = HERE / "_build" / "ipython" / "profile_default" / "ipython_kernel_config.py"
profile.parent.mkdir(parents=True, exist_ok=True)
profile.write_text("c.IPKernelApp.log_level = 40\n")
logging.getLogger("traitlets").setLevel(logging.WARNING)

project = "ebm-framework"
author = "The ebm-framework authors"
copyright = f"2026, {author}"
version = release = ebm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = "ebm-framework"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "forward",
}
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
default_role = "code"
# Words in a docstring that happen to name several attributes (x, dim) are no cross-references.
suppress_warnings = ["ref.python"]


def _digest() -> str:
    """Return the digest of what the pages run and show: other code, other outputs."""
    digest = hashlib.blake2b(digest_size=8)
    for folder in ("ebm", "methods", "toy_data", "docs/benchmarks", "docs/_static/gallery"):
        for path in sorted((HERE.parent / folder).rglob("*.*")):
            if path.suffix in (".py", ".json", ".js", ".css", ".html"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "executed" / _digest())
get_cache(nb_execution_cache_path).db.dispose()  # made here, or the processes race to make it
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
nb_number_source_lines = False


def _plain(app, what, name, obj, options, lines):
    """Read docstrings as plain text with `code` in it: |x| and (batch, *shape) stay as written."""
    read, verbatim, before = [], False, ""
    for line in lines:
        text, indented = line.strip(), line.startswith("    ")
        if not verbatim and not before and read and indented and text:  # a formula
            verbatim = True
            read += ["::", ""]
        elif text.startswith(">>>"):
            verbatim = True
        elif text and not indented and not before:
            verbatim = False
        if not verbatim:
            parts = re.split(r"(`+[^`]*`+)", line)  # every other part is code
            parts[::2] = [re.sub(r"[*|\\]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
            line = "".join(parts)
        read.append(line)
        before = text
    lines[:] = read


def _notebook(app, pagename, templatename, context, doctree):
    if pagename in app.env.found_docs and _executed(app, pagename).exists():
        context["notebook"] = f"_notebooks/{pagename}.ipynb"


def _copy_notebooks(app, exception):
    if exception is None and app.builder.format == "html":
        for page in app.env.found_docs:
            if _executed(app, page).exists():
                target = Path(app.outdir, "_notebooks", f"{page}.ipynb")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(_executed(app, page), target)


def _offline(app, exception):
    """Refuse pages that load anything from elsewhere: they must read well without a network."""
    if exception is None and app.builder.format == "html":
        foreign = re.compile(r"""<(?:script|link|img)[^>]*(?:src|href)=["'](https?:)?//[^>]*>""")
        for path in Path(app.outdir).rglob("*.html"):
            found = foreign.search(path.read_text())
            if found:
                raise ExtensionError(f"{path} loads {found.group()}. Bundle it in docs/_static.")


def _executed(app, page):
    return Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"


def setup(app):
    # It copies files once the build is finished, and does not say that this is safe.
    app.extensions["sphinx-mathjax-offline"].parallel_read_safe = True
    app.connect("autodoc-process-docstring", _plain, priority=400)  # before napoleon
    app.connect("html-page-context", _notebook)
    app.connect("build-finished", _copy_notebooks)
    app.connect("build-finished", _offline)
