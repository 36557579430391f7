"""The README's blocks run as they are printed, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_first_example_draws_samples_and_trains():
    assert len(BLOCKS) >= 3
    for call in ("(ebm.Energy)", "ebm.samplers.", "ebm.fit(", "ebm.landscape.show("):
        assert call in BLOCKS[0]
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 12


@pytest.mark.slow
def test_every_block_runs_verbatim_in_order(tmp_path):
    program = tmp_path / "readme.py"
    program.write_text("\n".join(BLOCKS))
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", program.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "all 7 laws hold" in done.stdout


def test_every_block_compiles():
    for block in BLOCKS:
        compile(block, "README.md", "exec")


def test_the_commands_of_the_readme_exist():
    from ebm.__main__ import COMMANDS

    commands = set(re.findall(r"^\$ ebm ([a-z]+)", README, re.MULTILINE))
    assert commands
    assert commands <= set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
