"""Ready-made energies over configurations: analytic targets and networks."""

from ebm.energies.mlp import MLP
from ebm.energies.quadratic import Quadratic

__all__ = ["MLP", "Quadratic"]
