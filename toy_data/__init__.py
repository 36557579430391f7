"""Toy data: 2-D sets with exact densities, pairs, and small images."""

from toy_data.digits import digits
from toy_data.eight_gaussians import EightGaussians, eight_gaussians
from toy_data.images import Images
from toy_data.point_set import PointSet
from toy_data.rings import Rings, rings
from toy_data.two_moons import TwoMoons, two_moons

__all__ = [
    "EightGaussians",
    "Images",
    "PointSet",
    "Rings",
    "TwoMoons",
    "digits",
    "eight_gaussians",
    "rings",
    "two_moons",
]
