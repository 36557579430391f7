"""See an energy: compute frozen arrays, then draw them.

`grid`, `plane`, `profile`, `field` and `trajectories` compute; `draw`, `draw_surface` and
`draw_history` draw what was computed; `show` does both in one call.
"""

from ebm.landscape.basins import Basins, basins
from ebm.landscape.breakdown import Breakdown, breakdown
from ebm.landscape.comparison import Comparison, comparison
from ebm.landscape.critical_points import CriticalPoints, critical_points
from ebm.landscape.density import Density, density
from ebm.landscape.draw import Landscape, draw
from ebm.landscape.draw_history import draw_history
from ebm.landscape.field import Field, field
from ebm.landscape.grid import Grid, grid
from ebm.landscape.latent_curves import LatentCurves, latent_curves
from ebm.landscape.latent_manifold import LatentManifold, latent_manifold
from ebm.landscape.log_ratio import LogRatio, log_ratio
from ebm.landscape.minimum_energy_path import MinimumEnergyPath, minimum_energy_path
from ebm.landscape.plane import Plane, plane
from ebm.landscape.profile import Profile, profile
from ebm.landscape.show import show
from ebm.landscape.surface import draw_surface
from ebm.landscape.temperature_sections import TemperatureSections, temperature_sections
from ebm.landscape.trajectories import Trajectories, trajectories
from ebm.landscape.triptych import Triptych, triptych
from ebm.landscape.wells import Wells, wells

__all__ = [
    "Basins",
    "Breakdown",
    "Comparison",
    "CriticalPoints",
    "Density",
    "Field",
    "Grid",
    "Landscape",
    "LatentCurves",
    "LatentManifold",
    "LogRatio",
    "MinimumEnergyPath",
    "Plane",
    "Profile",
    "TemperatureSections",
    "Trajectories",
    "Triptych",
    "Wells",
    "basins",
    "breakdown",
    "comparison",
    "critical_points",
    "density",
    "draw",
    "draw_history",
    "draw_surface",
    "field",
    "grid",
    "latent_curves",
    "latent_manifold",
    "log_ratio",
    "minimum_energy_path",
    "plane",
    "profile",
    "show",
    "temperature_sections",
    "trajectories",
    "triptych",
    "wells",
]
