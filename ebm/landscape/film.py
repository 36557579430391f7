"""Films: views one after another, as a GIF or an MP4."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ebm.landscape import canvas, palette
from ebm.landscape.draw import Landscape, draw


def film(
    landscapes: Iterable[Landscape],
    path: str | os.PathLike[str],
    *,
    titles: Sequence[str] | None = None,
    data: Any = None,
    samples: Sequence[Any] | None = None,
    rate: float = 8.0,
    dpi: int = 80,
) -> Path:
    """Write a film of views and return its path.

    For a fair film the views share one scale: `density` at several temperatures, `frames`
    of training, or one `grid` with samples that move.

    Args:
        landscapes: What the frames show, in order; one that stays may be repeated.
        path: Where it is written; the ending decides: .gif, or .mp4 where ffmpeg is.
        titles: A line above each frame.
        data: Examples drawn on every frame.
        samples: Examples drawn on each frame, such as the positions of a chain.
        rate: Frames a second.
        dpi: Dots per inch of a frame of 4.8 by 4.2 inches.

    Raises:
        ValueError: The ending is another one, there is no ffmpeg, or no frame.
    """
    shown = list(landscapes)
    for name, given in (("titles", titles), ("samples", samples)):
        if given is not None and len(given) != len(shown):
            raise ValueError(
                f"{name} must be as many as landscapes, {len(shown)}, got {len(given)}. "
                "Pass one for each frame."
            )

    def picture(number: int) -> Callable[[Any], None]:
        def paint(ax: Any) -> None:
            moving = None if samples is None else samples[number]
            draw(shown[number], ax, data=data, samples=moving)
            if titles is not None:
                ax.set_title(titles[number], loc="left", fontsize=9, color=palette.INK)

        return paint

    return write([picture(number) for number in range(len(shown))], path, rate=rate, dpi=dpi)


def write(
    pictures: Sequence[Callable[[Any], None]],
    path: str | os.PathLike[str],
    *,
    rate: float,
    dpi: int,
    size: tuple[float, float] = (4.8, 4.2),
) -> Path:
    """Write a film whose frames these functions draw on axes."""
    from matplotlib.animation import FFMpegWriter, PillowWriter
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ValueError(f"path must end with .gif or .mp4, got {path}. Name it film.gif.")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError(f"path must end with .gif without ffmpeg, got {path}. Install ffmpeg.")
    if not pictures:
        raise ValueError("landscapes must hold at least one, got none. Pass what frames show.")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=size, layout="constrained")
    writer: Any = (FFMpegWriter if path.suffix == ".mp4" else PillowWriter)(fps=rate)  # pyright: ignore[reportArgumentType]
    with writer.saving(figure, str(path), dpi):
        for paint in pictures:
            figure.clear()
            ax = figure.add_subplot()
            paint(ax)
            canvas.bare(ax)
            writer.grab_frame()
    return path
