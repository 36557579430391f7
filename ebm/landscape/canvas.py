"""Make axes to draw on, with or without a display."""

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

    try:
        if matplotlib.get_backend().lower() in _FILES:
            return False
        import matplotlib.pyplot as plt

        plt.switch_backend(matplotlib.get_backend())
    except ImportError:  # a window was asked for where there is no display
        return False
    return True


def present(figure: Any) -> None:
    """Show a figure where there is a window or a notebook, there once."""
    import matplotlib

    if not on_screen():
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


def caption(ax: Any, *sentences: str) -> None:
    """Write small gray sentences under the axes, after those that are there."""
    words = [ax.get_xlabel(), *sentences]
    text = "\n".join(word for word in words if word)
    ax.set_xlabel(text, loc="left", fontsize=7, color=palette.CAPTION, linespacing=1.4)
