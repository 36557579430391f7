"""Every method has its page, and every page can be executed and names what exists."""

import re
from pathlib import Path

import pytest

import methods

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path for path in (DOCS / "methods").glob("*.md") if path.stem != "index")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_method_page_is_executed_and_names_its_method(page):
    text = page.read_text()
    assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n")
    cells = "".join(re.findall(r"```\{code-cell\}.*?\n(.*?)```", text, re.DOTALL))
    used = set(re.findall(r"methods\.([A-Z]\w+)", cells))
    assert used
    assert used <= set(methods.__all__)
    assert "## Reference" in text


def test_every_link_to_the_reference_names_what_exists():
    import ebm  # noqa: F401

    for page in DOCS.rglob("*.md"):
        for name in re.findall(r"\{py:\w+\}`([\w.]+)`", page.read_text()):
            first, *rest = name.split(".")
            thing = __import__(first)
            for part in rest:
                thing = getattr(thing, part)
