"""See an energy: compute frozen arrays, then draw them."""

from ebm.landscape.draw import Landscape, draw
from ebm.landscape.draw_history import draw_history
from ebm.landscape.grid import Grid, grid
from ebm.landscape.show import show

__all__ = ["Grid", "Landscape", "draw", "draw_history", "grid", "show"]
