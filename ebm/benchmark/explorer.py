"""The explorer in a real browser: frames a second while particles move, and what is checked.

A page with a 100 x 100 grid is opened in Chromium, headless and without a graphics card, so
that pixels are drawn by the processor: a machine with one is faster. Particles move twice a
frame and are drawn on the map, on the surface and in the histograms. The distance is that of
their recent places from exp(-E / T), on 16 x 16 cells.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ebm

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Options of Chromium: nothing but the page, and no window."""

WINDOW = {"width": 1440, "height": 1000}
SAMPLERS = {"langevin": "step=0.03", "mala": "step=0.03", "hmc": "leap=0.1"}


@dataclass(frozen=True)
class Row:
    """One sampler with so many particles."""

    sampler: str
    particles: int
    frames_per_second: float
    """In the best of the seconds, since other work on the machine slows the browser down."""
    script_milliseconds: float
    """What moving and drawing take of a frame, the median; 60 frames a second leave 16.7."""
    distance: float
    """Total variation from the exact law."""


def chromium() -> str | None:
    """Return where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser() -> Iterator[Any]:
    """Open a real browser.

    Raises:
        ImportError: Playwright, which drives it, is not installed.
        ValueError: There is no Chromium.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ImportError(
            "explorer must have playwright, got none. Install it: pip install playwright."
        ) from error
    path = chromium()
    if path is None:
        raise ValueError(
            "explorer must have chromium, got none. Install it: apt-get install chromium."
        )
    with sync_playwright() as tools:
        opened = tools.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield opened
        finally:
            opened.close()


def run(*, quick: bool = False) -> Iterator[Row]:
    """Yield the rows, measured one after another.

    Args:
        quick: A second each, of 200 particles.
    """
    wells = ebm.energies.DoubleWell() + 0.5 * ebm.energies.Quadratic()
    view = ebm.landscape.explorer(wells, bounds=(-2.5, 2.5))
    with tempfile.TemporaryDirectory() as folder, browser() as opened:
        path = view.save(Path(folder) / "page.html")
        for sampler, step in SAMPLERS.items():
            yield _row(opened, path, sampler, step, 200 if quick else 2_000, 1 if quick else 6)


def _row(opened: Any, path: Path, sampler: str, step: str, particles: int, seconds: int) -> Row:
    page = opened.new_page(viewport=WINDOW)
    page.goto(f"{path.as_uri()}#scattered={particles}&sampler={sampler}&{step}")
    page.wait_for_timeout(1_000)
    rates = []
    for _ in range(seconds):
        page.wait_for_timeout(1_000)
        rates.append(page.evaluate("explorer.explorer.framesPerSecond()"))
    found = page.evaluate(
        """() => {
          const { explorer } = document.getElementById("explorer");
          explorer.set({ playing: false });
          const theme = explorer.theme();
          const times = [];
          for (let k = 0; k < 60; k++) {
            const began = performance.now();
            explorer.advance(2);
            for (const stage of explorer.stages) stage.drawMoving(explorer.state, theme);
            times.push(performance.now() - began);
          }
          explorer.advance(400);
          return [times.sort((a, b) => a - b)[30], explorer.distance(explorer.runs[0])];
        }"""
    )
    page.close()
    return Row(sampler, particles, *(round(value, 3) for value in (max(rates), *found)))


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(f"{'sampler':10} {'particles':>9} {'frames/s':>9} {'script ms':>10} {'distance':>9}")
    for row in rows:
        print(
            f"{row.sampler:10} {row.particles:9,} {row.frames_per_second:9.1f} "
            f"{row.script_milliseconds:10.2f} {row.distance:9.3f}"
        )
