"""See an energy: compute frozen arrays, then draw them.

`grid`, `plane`, `profile`, `field` and `trajectories` compute; `draw`, `draw_surface` and
`draw_history` draw what was computed; `show` does both in one call.
"""

from ebm.landscape.basins import Basins, basins
from ebm.landscape.breakdown import Breakdown, breakdown
from ebm.landscape.chain_strip import ChainStrip, chain_strip
from ebm.landscape.comparison import Comparison, comparison
from ebm.landscape.corruption_ladder import CorruptionLadder, corruption_ladder
from ebm.landscape.critical_points import CriticalPoints, critical_points
from ebm.landscape.density import Density, density
from ebm.landscape.dictionary import Dictionary, dictionary
from ebm.landscape.directions import Directions, directions
from ebm.landscape.draw import Landscape, draw
from ebm.landscape.draw_history import draw_history
from ebm.landscape.energy_histograms import EnergyHistograms, energy_histograms
from ebm.landscape.field import Field, field
from ebm.landscape.grid import Grid, grid
from ebm.landscape.latent_curves import LatentCurves, latent_curves
from ebm.landscape.latent_manifold import LatentManifold, latent_manifold
from ebm.landscape.latent_map import LatentMap, latent_map
from ebm.landscape.log_ratio import LogRatio, log_ratio
from ebm.landscape.minimum_energy_path import MinimumEnergyPath, minimum_energy_path
from ebm.landscape.nearest_neighbors import NearestNeighbors, nearest_neighbors
from ebm.landscape.plane import Plane, plane
from ebm.landscape.profile import Profile, profile
from ebm.landscape.reconstructions import Reconstructions, reconstructions
from ebm.landscape.saliency import Saliency, saliency
from ebm.landscape.sample_grid import SampleGrid, sample_grid
from ebm.landscape.show import show
from ebm.landscape.surface import draw_surface
from ebm.landscape.temperature_sections import TemperatureSections, temperature_sections
from ebm.landscape.trajectories import Trajectories, trajectories
from ebm.landscape.triptych import Triptych, triptych
from ebm.landscape.wells import Wells, wells

__all__ = [
    "Basins",
    "Breakdown",
    "ChainStrip",
    "Comparison",
    "CorruptionLadder",
    "CriticalPoints",
    "Density",
    "Dictionary",
    "Directions",
    "EnergyHistograms",
    "Field",
    "Grid",
    "Landscape",
    "LatentCurves",
    "LatentManifold",
    "LatentMap",
    "LogRatio",
    "MinimumEnergyPath",
    "NearestNeighbors",
    "Plane",
    "Profile",
    "Reconstructions",
    "Saliency",
    "SampleGrid",
    "TemperatureSections",
    "Trajectories",
    "Triptych",
    "Wells",
    "basins",
    "breakdown",
    "chain_strip",
    "comparison",
    "corruption_ladder",
    "critical_points",
    "density",
    "dictionary",
    "directions",
    "draw",
    "draw_history",
    "draw_surface",
    "energy_histograms",
    "field",
    "grid",
    "latent_curves",
    "latent_manifold",
    "latent_map",
    "log_ratio",
    "minimum_energy_path",
    "nearest_neighbors",
    "plane",
    "profile",
    "reconstructions",
    "saliency",
    "sample_grid",
    "show",
    "temperature_sections",
    "trajectories",
    "triptych",
    "wells",
]
