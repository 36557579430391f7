"""Write the tour's page: one file with everything inside."""

import base64
import html
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebm.training.atomic import atomically


@dataclass(frozen=True)
class Visit:
    """What one method learned of one data set."""

    title: str
    steps: int
    seconds: float
    surface: str
    surface_words: str
    curve: str
    accuracies: dict[str, float | None]


@dataclass(frozen=True)
class Chapter:
    """A method of the tour, with its visits."""

    name: str
    family: str
    line: str
    paper: str
    visits: list[Visit] = field(default_factory=list)


def encoded(figure: Any) -> str:
    """Return a matplotlib figure as the data URI of a PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()


def write(out: Path, chapters: list[Chapter], seconds: float) -> Path:
    """Write index.html and return its path.

    Raises:
        OSError: The folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "index.html"
    text = _PAGE.format(
        contents="".join(f'<a href="#{c.name}">{html.escape(c.name)}</a>' for c in chapters),
        chapters="".join(_chapter(chapter) for chapter in chapters),
        seconds=f"{seconds:.0f}",
    )
    atomically(path, lambda part: _put(part, text))
    return path


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _chapter(chapter: Chapter) -> str:
    return _CHAPTER.format(
        name=html.escape(chapter.name),
        family=html.escape(chapter.family),
        line=html.escape(chapter.line),
        paper=html.escape(chapter.paper),
        visits="".join(_visit(chapter, visit) for visit in chapter.visits),
    )


def _visit(chapter: Chapter, visit: Visit) -> str:
    where = html.escape(visit.title)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{value:.1%}</td>'
        f'<td><span class="meter" style="width:{100 * value:.1f}%"></span></td></tr>'
        for name, value in visit.accuracies.items()
        if value is not None
    )
    note = "" if len(visit.accuracies) != 1 else "<p>This method has no encoder to probe.</p>"
    table = f"<table><caption>k-NN accuracy</caption>{rows}</table>{note}" if rows else ""
    return _VISIT.format(
        title=where,
        steps=f"{visit.steps:,}",
        seconds=f"{visit.seconds:.0f}",
        surface=visit.surface,
        surface_words=html.escape(visit.surface_words),
        surface_alt=html.escape(f"Energy surface that {chapter.name} learned of {visit.title}"),
        curve=visit.curve,
        curve_alt=html.escape(f"Training curve of {chapter.name} on {visit.title}, by term"),
        table=table,
    )


_VISIT = """
<article>
<h3>{title}</h3>
<figure><img src="{surface}" alt="{surface_alt}"><figcaption>{surface_words}</figcaption></figure>
<figure><img src="{curve}" alt="{curve_alt}">
<figcaption>each named term over {steps} steps; all of it took {seconds} s</figcaption></figure>
{table}
</article>
"""

_CHAPTER = """
<section id="{name}">
<p class="family">{family}</p>
<h2>{name}</h2>
<p class="line">{line}</p>
<div class="visits">{visits}</div>
<p class="paper">{paper}</p>
</section>
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A tour of energies</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c2733; --quiet: #5d6873; --paper: #fbfbf9;
  --card: #ffffff; --line: #e2e6ea; --accent: #0a6fb5; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8ecef; --quiet: #a3aeb8;
  --paper: #12161b; --card: #1a2027; --line: #2b343d; --accent: #6cb8ee; }}
  img {{ background: #fff; border-radius: 6px; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }}
header, section, footer {{ max-width: 1180px; margin: 0 auto; padding: 2rem 1.2rem; }}
header h1 {{ font-size: clamp(1.9rem, 5vw, 3rem); line-height: 1.1; margin: 1rem 0 .6rem; }}
header p {{ max-width: 46rem; margin: .5rem 0; }}
nav {{ display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1.2rem; }}
nav a {{ color: var(--accent); text-decoration: none; border: 1px solid var(--line);
  border-radius: 999px; padding: .2rem .8rem; background: var(--card); }}
nav a:hover, nav a:focus {{ border-color: var(--accent); }}
section {{ border-top: 1px solid var(--line); }}
.family {{ color: var(--accent); font-size: .85rem; font-weight: 600; margin: 0;
  letter-spacing: .02em; }}
h2 {{ margin: .1rem 0 .2rem; font-size: 1.7rem; }}
.line {{ margin: 0 0 1.2rem; max-width: 46rem; }}
.visits {{ display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }}
article {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem; }}
article h3 {{ margin: 0 0 .5rem; font-size: 1rem; }}
figure {{ margin: 0 0 .8rem; }}
img {{ width: 100%; height: auto; display: block; }}
figcaption, caption, .paper, footer, article p {{ color: var(--quiet); font-size: .85rem; }}
table {{ width: 100%; border-collapse: collapse; font-size: .9rem; }}
caption {{ text-align: left; padding-bottom: .2rem; }}
th {{ text-align: left; font-weight: 400; white-space: nowrap; padding-right: .6rem; }}
td {{ font-variant-numeric: tabular-nums; padding: .1rem .6rem .1rem 0; }}
td:last-child {{ width: 45%; padding: 0; }}
.meter {{ display: block; height: .5rem; border-radius: 3px; background: var(--accent); }}
</style>
</head>
<body>
<header>
<h1>A tour of energies</h1>
<p>An energy gives one number per example, low where the example fits the data. A training
method shapes that surface: it pulls the energy down on the data and keeps the rest up, by
pushing up at chosen places or by bounding how much space can be low.</p>
<p>Each card shows what one method learned: the surface (dark is low), the terms that it
minimized, and for images how well its representation sorts them into classes.</p>
<nav aria-label="Methods">{contents}</nav>
</header>
{chapters}
<footer>Made by <code>ebm tour</code> in {seconds} seconds; the whole page is in this file.</footer>
</body>
</html>
"""
