"""Make axes to draw on, with or without a display."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

from ebm.landscape import palette

_FILES = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})


def axes(*, size: tuple[float, float] = (5.6, 4.8), projection: str | None = None) -> Any:
    """Return new axes, in a window or notebook where there is one, else in a plain figure."""
    import matplotlib
    from matplotlib.figure import Figure

    if on_screen():
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
    else:
        figure = Figure(figsize=size, layout="constrained")
    figure.set_dpi(matplotlib.rcParams["figure.dpi"])
    return figure.add_subplot(projection=projection)


def on_screen() -> bool:
    """Return whether matplotlib draws in a window or a notebook."""
    import matplotlib

    _wanted()
    try:
        if matplotlib.get_backend().lower() in _FILES:
            return False
        import matplotlib.pyplot as plt

        plt.switch_backend(matplotlib.get_backend())
    except ImportError:  # a window was asked for where there is no display
        return False
    return True


@functools.cache
def _wanted() -> str | None:
    """Return the backend that the user chose, None where matplotlib may choose."""
    import matplotlib

    return matplotlib.get_backend(auto_select=False)


@functools.cache
def _say_that_there_is_no_display() -> None:
    warnings.warn(
        "figures must have a display to be shown on, got none. Pass path='picture.png' to write a "
        "file, or choose the backend that only writes: MPLBACKEND=Agg.",
        stacklevel=4,
    )


def present(figure: Any, *, written: bool) -> None:
    """Show a figure where there is a window or a notebook, there once.

    Where there is neither, nor a file that it was `written` to, and the user did not ask for
    that, a warning says once how to see it.
    """
    import matplotlib

    if not on_screen():
        if not written and (_wanted() or "").lower() not in _FILES:
            _say_that_there_is_no_display()
        return
    import matplotlib.pyplot as plt

    if "inline" in matplotlib.get_backend().lower():
        _show_in_cell(figure)
        plt.close(figure)
    else:
        plt.show()


def _show_in_cell(figure: Any) -> None:
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    display(figure)
    shell = get_ipython()
    cell = getattr(shell, "execution_count", None)

    def hide() -> None:
        # As the last value of the same cell it would be shown a second time.
        if getattr(shell, "execution_count", None) != cell:
            raise NotImplementedError

    figure._ipython_display_ = hide


def bare(ax: Any) -> None:
    """Leave thin gray ticks and no frame."""
    ax.tick_params(length=2.5, width=0.6, labelsize=8, color=palette.CAPTION)
    ax.tick_params(labelcolor=palette.CAPTION)
    for spine in ax.spines.values():
        spine.set_visible(False)


def ruled(ax: Any, name: str = "") -> None:
    """Leave ticks and faint horizontal lines, the vertical axis named above: for curves."""
    bare(ax)
    ax.grid(axis="y", color=palette.RULE, linewidth=0.6)
    ax.set_axisbelow(True)
    if name:
        ax.set_title(name, fontsize=9, color=palette.CAPTION, loc="left")


def legend(ax: Any, columns: int = 4) -> None:
    """Write the labels above the axes, if there are any."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            fontsize=8,
            frameon=False,
            handlelength=1.4,
            columnspacing=1.4,
            borderaxespad=0.2,
            labelcolor=palette.INK,
        )


def blank(ax: Any) -> None:
    """Leave neither ticks nor frame: for pictures."""
    ax.set_xticks([])
    ax.set_yticks([])
    bare(ax)


def panels(ax: Any, titles: Sequence[str], *, columns: int | None = None) -> list[Any]:
    """Return axes side by side in the place of one, each with its title."""
    columns = columns or len(titles)
    rows = -(-len(titles) // columns)
    ax.set_axis_off()
    if ax.get_subplotspec() is None:  # axes within axes
        wide, high = 1 / columns, 1 / rows
        found = [
            ax.inset_axes(
                (i % columns * wide, 1 - (i // columns + 1) * high, 0.8 * wide, 0.8 * high)
            )
            for i in range(len(titles))
        ]
    else:
        spec = ax.get_subplotspec().subgridspec(rows, columns)
        found = [ax.figure.add_subplot(spec[i // columns, i % columns]) for i in range(len(titles))]
    for part, title in zip(found, titles, strict=True):
        part.set_title(title, loc="left", fontsize=9, color=palette.INK)
    return found


def caption(ax: Any, *sentences: str) -> None:
    """Write small gray sentences under the axes, after those that are there."""
    words = [ax.get_xlabel(), *sentences]
    text = "\n".join(word for word in words if word)
    ax.set_xlabel(text, loc="left", fontsize=7, color=palette.CAPTION, linespacing=1.4)
