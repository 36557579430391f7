"""See an energy: compute frozen arrays, then draw them.

`grid`, `plane`, `profile`, `field` and `trajectories` compute; `draw`, `draw_surface` and
`draw_history` draw what was computed; `show` does both in one call.
"""

from ebm.landscape.draw import Landscape, draw
from ebm.landscape.draw_history import draw_history
from ebm.landscape.field import Field, field
from ebm.landscape.grid import Grid, grid
from ebm.landscape.plane import Plane, plane
from ebm.landscape.profile import Profile, profile
from ebm.landscape.show import show
from ebm.landscape.surface import draw_surface
from ebm.landscape.trajectories import Trajectories, trajectories

__all__ = [
    "Field",
    "Grid",
    "Landscape",
    "Plane",
    "Profile",
    "Trajectories",
    "draw",
    "draw_history",
    "draw_surface",
    "field",
    "grid",
    "plane",
    "profile",
    "show",
    "trajectories",
]
