"""See an energy: compute frozen arrays, then draw them.

Every view is a function that computes and a frozen dataclass of the same name that holds the
arrays and draws itself: `draw(view)` on new axes or on yours, `draw_surface`,
`draw_streamlines` and `draw_history` for what they say, `show` for a first look in one call.

- Energies of points: `grid`, `field`, `density`, `critical_points`, `basins`,
  `minimum_energy_path`, `trajectories`, `triptych`, `log_ratio`, `breakdown`, `comparison`,
  `class_energies`, `curl`.
- Latents: `latent_curves`, `latent_manifold`, `latent_map`, `temperature_sections`, `wells`.
- Examples of any shape: `plane`, `profile`, `directions`, `energy_histograms`,
  `corruption_ladder`, `chain_strip`, `sample_grid`, `saliency`, `nearest_neighbors`,
  `dictionary`, `reconstructions`.
- Joint embeddings: `pair_matrix`, `pair_histograms`, `alignment_uniformity`, `spectrum`,
  `cross_correlation`, `covariance`, `spread`, `embedding_map`, `collapse_monitor`,
  `term_cosines`.
- Training: `frames`, `energy_gap`; `film` writes any views as a GIF or an MP4.
- To play with: `explorer`, a page of its own or a notebook widget.
"""

from ebm.landscape.alignment_uniformity import AlignmentUniformity, alignment_uniformity
from ebm.landscape.basins import Basins, basins
from ebm.landscape.breakdown import Breakdown, breakdown
from ebm.landscape.chain_strip import ChainStrip, chain_strip
from ebm.landscape.class_energies import class_energies
from ebm.landscape.collapse_monitor import CollapseMonitor, collapse_monitor
from ebm.landscape.comparison import Comparison, comparison
from ebm.landscape.corruption_ladder import CorruptionLadder, corruption_ladder
from ebm.landscape.covariance import Covariance, covariance
from ebm.landscape.critical_points import CriticalPoints, critical_points
from ebm.landscape.cross_correlation import CrossCorrelation, cross_correlation
from ebm.landscape.curl import Curl, curl
from ebm.landscape.density import Density, density
from ebm.landscape.dictionary import Dictionary, dictionary
from ebm.landscape.directions import Directions, directions
from ebm.landscape.draw import Landscape, draw
from ebm.landscape.draw_history import draw_history
from ebm.landscape.embedding_map import EmbeddingMap, embedding_map
from ebm.landscape.energy_gap import EnergyGap, energy_gap
from ebm.landscape.energy_histograms import EnergyHistograms, energy_histograms
from ebm.landscape.explorer import Explorer, explorer
from ebm.landscape.field import Field, field
from ebm.landscape.film import film
from ebm.landscape.frames import Frames, frames
from ebm.landscape.grid import Grid, grid
from ebm.landscape.latent_curves import LatentCurves, latent_curves
from ebm.landscape.latent_manifold import LatentManifold, latent_manifold
from ebm.landscape.latent_map import LatentMap, latent_map
from ebm.landscape.log_ratio import LogRatio, log_ratio
from ebm.landscape.minimum_energy_path import MinimumEnergyPath, minimum_energy_path
from ebm.landscape.nearest_neighbors import NearestNeighbors, nearest_neighbors
from ebm.landscape.pair_histograms import PairHistograms, pair_histograms
from ebm.landscape.pair_matrix import PairMatrix, pair_matrix
from ebm.landscape.plane import Plane, plane
from ebm.landscape.profile import Profile, profile
from ebm.landscape.reconstructions import Reconstructions, reconstructions
from ebm.landscape.saliency import Saliency, saliency
from ebm.landscape.sample_grid import SampleGrid, sample_grid
from ebm.landscape.show import show
from ebm.landscape.spectrum import Spectrum, spectrum
from ebm.landscape.spread import Spread, spread
from ebm.landscape.streamlines import draw_streamlines
from ebm.landscape.surface import draw_surface
from ebm.landscape.temperature_sections import TemperatureSections, temperature_sections
from ebm.landscape.term_cosines import TermCosines, term_cosines
from ebm.landscape.trajectories import Trajectories, trajectories
from ebm.landscape.triptych import Triptych, triptych
from ebm.landscape.wells import Wells, wells

__all__ = [
    "AlignmentUniformity",
    "Basins",
    "Breakdown",
    "ChainStrip",
    "CollapseMonitor",
    "Comparison",
    "CorruptionLadder",
    "Covariance",
    "CriticalPoints",
    "CrossCorrelation",
    "Curl",
    "Density",
    "Dictionary",
    "Directions",
    "EmbeddingMap",
    "EnergyGap",
    "EnergyHistograms",
    "Explorer",
    "Field",
    "Frames",
    "Grid",
    "Landscape",
    "LatentCurves",
    "LatentManifold",
    "LatentMap",
    "LogRatio",
    "MinimumEnergyPath",
    "NearestNeighbors",
    "PairHistograms",
    "PairMatrix",
    "Plane",
    "Profile",
    "Reconstructions",
    "Saliency",
    "SampleGrid",
    "Spectrum",
    "Spread",
    "TemperatureSections",
    "TermCosines",
    "Trajectories",
    "Triptych",
    "Wells",
    "alignment_uniformity",
    "basins",
    "breakdown",
    "chain_strip",
    "class_energies",
    "collapse_monitor",
    "comparison",
    "corruption_ladder",
    "covariance",
    "critical_points",
    "cross_correlation",
    "curl",
    "density",
    "dictionary",
    "directions",
    "draw",
    "draw_history",
    "draw_streamlines",
    "draw_surface",
    "embedding_map",
    "energy_gap",
    "energy_histograms",
    "explorer",
    "field",
    "film",
    "frames",
    "grid",
    "latent_curves",
    "latent_manifold",
    "latent_map",
    "log_ratio",
    "minimum_energy_path",
    "nearest_neighbors",
    "pair_histograms",
    "pair_matrix",
    "plane",
    "profile",
    "reconstructions",
    "saliency",
    "sample_grid",
    "show",
    "spectrum",
    "spread",
    "temperature_sections",
    "term_cosines",
    "trajectories",
    "triptych",
    "wells",
]
