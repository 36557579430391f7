"""The explorer: an energy to play with, as a page of its own or in a notebook."""

import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebm import checks
from ebm.energy import Energy
from ebm.landscape import heatmap, scale
from ebm.landscape.bounds import Bounds, as_examples, as_points, bounds_of
from ebm.landscape.breakdown import breakdown
from ebm.landscape.explorer import colors, encode, pictures, source
from ebm.landscape.frames import Frames
from ebm.landscape.plane import Plane, plane, spanning

POINTS = 500
"""Data shown, at most."""

LEAST = 4
"""Points per axis, at least, through which a smooth surface is drawn."""

HEIGHT = 900
"""Pixels of the page inside another page."""


@dataclass(frozen=True)
class Explorer:
    """Energies on a grid and all that the page needs to move particles on them.

    `save(path)` writes one HTML file that opens without a network; `widget()` shows it in a
    notebook, where it is also the value of a cell.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    terms: dict[str, dict[str, NDArray[np.floating]]]
    """For each run the weighted terms of its energy, (len(y), len(x)); NaN where not finite."""
    bounds: Bounds
    """((x_low, x_high), (y_low, y_high))."""
    high: float
    """How far above its lowest an energy has the palest color, on one scale for all."""
    films: dict[str, Frames] = field(default_factory=dict)
    """The energy over training, for the runs that have it, on the same grid."""
    points: NDArray[np.float64] | None = None
    """Some of the data, (n, 2)."""
    plane: Plane | None = None
    """The plane through three examples, where the energy is one of larger examples."""
    chain: "pictures.Recorded | None" = None
    """Chains of examples to scrub through."""
    title: str = "Energy"
    subtitle: str = ""
    start: dict[str, Any] = field(default_factory=dict)
    """What differs from the page's own settings when it opens, such as `temperature`."""

    def page(self) -> dict[str, Any]:
        """Return the data of the page: numbers, names and arrays as text."""
        page: dict[str, Any] = {
            "title": self.title,
            "subtitle": self.subtitle,
            "bounds": self.bounds,
            "shape": [len(self.y), len(self.x)],
            "high": self.high,
            "compression": scale.COMPRESSION,
            "palette": colors.of_page(),
            "runs": [self._run(name) for name in self.terms],
            "start": self.start,
        }
        if self.points is not None and len(self.points):
            page["points"] = encode.floats(self.points)
        if self.plane is not None:
            page["plane"] = pictures.plane_of_page(self.plane)
        if self.chain is not None:
            page["chain"] = self.chain.of_page()
        return page

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page as one HTML file with everything inside, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.document(self.page(), self.title), encoding="utf-8")
        return path

    def widget(self) -> Any:
        """Return the explorer as a notebook widget, whose `state` Python can read and set.

        Raises:
            ImportError: anywidget is not installed.
        """
        from ebm.landscape.explorer.widget import widget

        return widget(self.page())

    def _repr_html_(self) -> str:
        words = html.escape(source.document(self.page(), self.title), quote=True)
        return (
            f'<iframe srcdoc="{words}" title="{html.escape(self.title)}" loading="lazy" '
            f'style="width: 100%; height: {HEIGHT}px; border: 0; border-radius: 12px"></iframe>'
        )

    def _run(self, name: str) -> dict[str, Any]:
        found = {
            "name": name,
            "terms": [
                {"name": term.replace("_", " "), "values": encode.floats(values)}
                for term, values in self.terms[name].items()
            ],
        }
        if name in self.films:
            film = self.films[name]
            found["frames"] = {
                "steps": film.steps.tolist(),
                **encode.film(film.values, self.high),
            }
        return found


def explorer(
    energy: Energy | Callable[..., Tensor] | Mapping[str, Energy | Callable[..., Tensor]],
    data: Any = None,
    *,
    film: Frames | Mapping[str, Frames] | None = None,
    chain: Any = None,
    bounds: Any = None,
    resolution: int | Sequence[int] | None = None,
    given: Sequence[Tensor] = (),
    title: str = "Energy",
    subtitle: str = "",
    start: Mapping[str, Any] | None = None,
    batch_size: int = 65_536,
) -> Explorer:
    """Return an energy, or several by name side by side, ready to be explored.

    A 2-D energy is explored on a grid, term by term where it is a sum; an energy of larger
    examples on the plane through the first three of the data, with the picture at each
    place.

    >>> import ebm
    >>> found = ebm.landscape.explorer(ebm.energies.Ring() + ebm.energies.Quadratic())
    >>> {name: list(terms) for name, terms in found.terms.items()}
    {'Energy': ['ring', 'quadratic']}

    Args:
        energy: Any callable, x -> (batch,), or several by name.
        data: Examples; they set the region and the color range, and are shown.
        film: The energy over training, or those of several by name, as `frames` computes or
            a run's folder keeps; its grid is taken.
        chain: What `ebm.samplers.chain` recorded of examples like the data, to scrub through.
        bounds: `(low, high)` of both axes, or `((x_low, x_high), (y_low, y_high))`.
        resolution: Points per axis, or (x points, y points); 100 for points, 60 for a plane.
        given: What follows x in the energy's arguments, one row each.
        title: The heading of the page.
        subtitle: A line below it.
        start: Settings of the page when it opens, such as `{"temperature": 0.5}`.
        batch_size: Points evaluated at once.

    Raises:
        ValueError: The energy cannot be drawn, or a film is of none of the energies.
    """
    energies = dict(energy) if isinstance(energy, Mapping) else {title: energy}
    films = dict(film) if isinstance(film, Mapping) else {} if film is None else {title: film}
    if not energies or not films.keys() <= energies.keys():
        raise ValueError(
            f"film must be of the energies {list(energies)}, got {list(films)}. "
            "Use the same names for both, at least one."
        )
    words: dict[str, Any] = {"title": title, "subtitle": subtitle, "start": dict(start or {})}
    examples = None if data is None else as_examples(data)
    if examples is None or examples.shape[1:] == (2,):
        size = 100 if resolution is None else resolution
        return _of_points(energies, examples, films, bounds, size, given, batch_size, words)
    if len(energies) > 1 or films:
        raise ValueError(
            f"energy must be one without a film for examples of shape {tuple(examples.shape[1:])}, "
            f"got {len(energies)} and {len(films)} films. Explore one at a time."
        )
    (one,) = energies.values()
    size = _enough(60 if resolution is None else resolution)
    a, b, c = spanning(examples)
    surface = plane(one, a, b, c, size, data=examples, given=given, batch_size=batch_size)
    lowest = surface.minimum if surface.masked < surface.values.size else 0.0
    return Explorer(
        surface.x,
        surface.y,
        {title: {"energy": surface.values}},
        surface.bounds,
        max(surface.high - lowest, 1e-9),
        plane=surface,
        chain=None if chain is None else pictures.recorded(chain, examples),
        **words,
    )


def _of_points(
    energies: dict[str, Any],
    points: Tensor | None,
    films: dict[str, Frames],
    bounds: Any,
    resolution: int | Sequence[int],
    given: Sequence[Tensor],
    batch_size: int,
    words: dict[str, Any],
) -> Explorer:
    """Return the explorer of energies of points."""
    box = bounds_of(bounds, None if points is None else as_points(points))
    if films and bounds is None:
        first = next(iter(films.values()))
        box, resolution = first.bounds, (len(first.x), len(first.y))
    size = _enough(resolution)
    found = {
        name: breakdown(one, box, size, data=points, given=given, batch_size=batch_size)
        for name, one in energies.items()
    }
    first = next(iter(found.values()))
    sums = {name: each.total for name, each in found.items()}
    tops = [each.high for each in found.values()] if points is not None else []
    shown = None if points is None else points[:: -(-len(points) // POINTS)]
    return Explorer(
        first.x,
        first.y,
        {name: each.terms for name, each in found.items()},
        box,
        max(tops, default=0.0) or heatmap.shared_range(sums),
        {name: each.on(first.x, first.y) for name, each in films.items()},
        None if shown is None else shown.cpu().double().numpy(),
        **words,
    )


def _enough(resolution: int | Sequence[int]) -> tuple[int, int]:
    across, up = (resolution, resolution) if isinstance(resolution, int) else resolution
    return checks.count("resolution", across, LEAST), checks.count("resolution", up, LEAST)
