"""Ready-made energies over configurations: analytic targets and networks."""

from ebm.energies.banana import Banana
from ebm.energies.boltzmann_machine import BoltzmannMachine
from ebm.energies.convolutional import Convolutional
from ebm.energies.double_well import DoubleWell
from ebm.energies.funnel import Funnel
from ebm.energies.gaussian import Gaussian
from ebm.energies.gaussian_mixture import GaussianMixture
from ebm.energies.himmelblau import Himmelblau
from ebm.energies.mlp import MLP
from ebm.energies.quadratic import Quadratic
from ebm.energies.reconstruction_error import ReconstructionError
from ebm.energies.restricted_boltzmann_machine import RestrictedBoltzmannMachine
from ebm.energies.ring import Ring
from ebm.energies.rosenbrock import Rosenbrock
from ebm.energies.target import Target

__all__ = [
    "MLP",
    "Banana",
    "BoltzmannMachine",
    "Convolutional",
    "DoubleWell",
    "Funnel",
    "Gaussian",
    "GaussianMixture",
    "Himmelblau",
    "Quadratic",
    "ReconstructionError",
    "RestrictedBoltzmannMachine",
    "Ring",
    "Rosenbrock",
    "Target",
]
