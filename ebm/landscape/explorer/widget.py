"""The explorer in a notebook: the same page, without a page of its own."""

import json
from typing import Any

from ebm.landscape.explorer import source


def widget(page: dict[str, Any]) -> Any:
    """Return the page as an anywidget.

    Raises:
        ImportError: anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            f"the widget must have anywidget, got none ({error}). Install it with "
            "pip install 'ebm-framework[notebook]', or write a page: .save('energy.html')."
        ) from error

    class ExplorerWidget(anywidget.AnyWidget):  # pyright: ignore[reportUntypedBaseClass]
        """What is drawn, and the state that is shared with Python."""

        _esm = source.script()
        _css = source.style()
        page = traitlets.Unicode().tag(sync=True)
        state = traitlets.Unicode().tag(sync=True)

    return ExplorerWidget(page=json.dumps(page))
