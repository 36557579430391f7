"""Every method has its page, and every page can be executed and names what exists."""

import re
import sys
import unicodedata
from pathlib import Path

import pytest

import methods

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path for path in (DOCS / "methods").glob("*.md") if path.stem != "index")
FILES = {getattr(methods, name).__module__.rsplit(".", 1)[1]: name for name in methods.__all__}


def plain(text):
    """Return the text without accents."""
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def cells(page):
    return re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", page.read_text(), re.DOTALL | re.M)


@pytest.mark.parametrize("file", sorted(FILES))
def test_every_method_has_a_page_named_like_its_file(file):
    assert (DOCS / "methods" / f"{file}.md").is_file(), f"Write docs/methods/{file}.md."


def test_every_method_has_a_file_of_its_own():
    assert len(FILES) == len(methods.__all__)


def test_the_index_lists_whatever_pages_there_are():
    toctree = re.search(
        r"```\{toctree\}\n(.*?)```", (DOCS / "methods" / "index.md").read_text(), re.S
    )
    assert toctree
    assert {":glob:", "*"} <= set(toctree[1].split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_method_page_is_executed_and_trains_its_method(page):
    text = page.read_text()
    assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n")
    code = "".join(cells(page))
    used = set(re.findall(r"methods\.([A-Z]\w+)", code))
    assert used <= set(methods.__all__)
    assert page.stem in FILES, f"{page.name} must be named like a method's file."
    assert re.search(rf"methods\.{FILES[page.stem]}(\.[a-z_]+)?\(", code)
    assert "ebm.fit(" in code
    assert "ebm.landscape." in code or "matplotlib" in code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_method_page_cites_whom_the_method_cites(page):
    _, _, section = page.read_text().partition("## Reference")
    said = sys.modules[getattr(methods, FILES[page.stem]).__module__].__doc__ or ""
    author = re.search(r"^Reference:\s+(\w+)", said, re.M)
    assert author
    assert plain(author[1]) in plain(section)


@pytest.mark.parametrize("page", [*PAGES, *sorted(DOCS.glob("*.md"))], ids=lambda page: page.stem)
def test_cells_compile(page):
    for cell in cells(page):
        compile(re.sub(r"^:.*$", "", cell, flags=re.M), page.name, "exec")


def test_every_link_to_the_reference_names_what_exists():
    import ebm  # noqa: F401

    for page in DOCS.rglob("*.md"):
        for name in re.findall(r"\{py:\w+\}`([\w.]+)`", page.read_text()):
            first, *rest = name.split(".")
            thing = __import__(first)
            for part in rest:
                thing = getattr(thing, part)


@pytest.mark.parametrize(
    "page",
    sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
    ids=lambda page: page.stem,
)
def test_no_page_shows_a_figure_as_text(page):
    """A notebook draws no figure that pyplot did not make: it prints `<Figure size ...>`."""
    for cell in cells(page):
        assert "display(figure)" not in cell, f"Save the figure as a picture in {page}."
