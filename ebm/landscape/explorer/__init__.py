"""The explorer: a page on which an energy can be played with.

The JavaScript lies in `web/`, one concept per file, and is used as it is written: put in a
row in an HTML file that opens without a network, or given to a notebook widget.
"""

from ebm.landscape.explorer.explorer import Explorer, explorer

__all__ = ["Explorer", "explorer"]
