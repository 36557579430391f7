"""Toy data: 2-D sets with exact densities, pairs, small binary sets, and images."""

from toy_data.bars_and_stripes import bars_and_stripes
from toy_data.checkerboard import Checkerboard, checkerboard
from toy_data.cifar10 import cifar10
from toy_data.digits import digits
from toy_data.download import MissingData, data_folder
from toy_data.eight_gaussians import EightGaussians, eight_gaussians
from toy_data.fashion_mnist import fashion_mnist
from toy_data.folder import folder
from toy_data.function import from_function
from toy_data.images import Images
from toy_data.ising import Ising, ising
from toy_data.labeled_gaussians import LabeledGaussians, labeled_gaussians
from toy_data.load import load, names
from toy_data.mnist import mnist
from toy_data.pairs import pairs
from toy_data.pinwheel import Pinwheel, pinwheel
from toy_data.point_set import PointSet
from toy_data.rings import Rings, rings
from toy_data.sine_wave import SineWave, sine_wave
from toy_data.spirals import Spirals, spirals
from toy_data.swiss_roll import SwissRoll, swiss_roll
from toy_data.twenty_five_gaussians import TwentyFiveGaussians, twenty_five_gaussians
from toy_data.two_moons import TwoMoons, two_moons
from toy_data.uneven_gaussians import UnevenGaussians, uneven_gaussians

__all__ = [
    "Checkerboard",
    "EightGaussians",
    "Images",
    "Ising",
    "LabeledGaussians",
    "MissingData",
    "Pinwheel",
    "PointSet",
    "Rings",
    "SineWave",
    "Spirals",
    "SwissRoll",
    "TwentyFiveGaussians",
    "TwoMoons",
    "UnevenGaussians",
    "bars_and_stripes",
    "checkerboard",
    "cifar10",
    "data_folder",
    "digits",
    "eight_gaussians",
    "fashion_mnist",
    "folder",
    "from_function",
    "ising",
    "labeled_gaussians",
    "load",
    "mnist",
    "names",
    "pairs",
    "pinwheel",
    "rings",
    "sine_wave",
    "spirals",
    "swiss_roll",
    "twenty_five_gaussians",
    "two_moons",
    "uneven_gaussians",
]
