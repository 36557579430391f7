"""The colors: a blue field that recedes, data in orange, samples white in magenta.

Wells are dark and plains are pale, by lightness alone, so that the field reads in gray and
to every kind of color vision. What lies on top is light and dark at once, fill or edge, and
so shows on both; data and samples differ in lightness and shape too.
"""

from typing import Any

import numpy as np

DATA = "#f08a00"
DATA_EDGE = "#ffffff"
RULE = "#e4e7ea"
SAMPLES = "#fff0fa"
SAMPLES_EDGE = "#b0005f"
PATHS = "#e0359a"
INK = "#1c2733"
CAPTION = "#66707a"
MASKED = "#c4c0ba"
EDGE = "#ffffff"
RULE = "#e4e7ea"

LINES = ("#0a6fb5", "#d9560b", "#138a63", "#b0539a", "#c79200", "#55a7dc", "#444c55")
"""Line colors in order: told apart with every kind of color vision."""

# Lightness, then two color axes (OKLab): dark navy, blue, pale blue, almost white.
_FIELD = (
    (0.28, 0.000, -0.095),
    (0.39, -0.015, -0.115),
    (0.50, -0.035, -0.115),
    (0.62, -0.045, -0.098),
    (0.74, -0.042, -0.070),
    (0.86, -0.028, -0.038),
    (0.97, -0.005, -0.008),
)

# The same on dark paper, where wells glow: almost white, pale blue, blue, almost black.
_NIGHT = (
    (0.97, -0.020, -0.010),
    (0.87, -0.050, -0.045),
    (0.75, -0.055, -0.085),
    (0.61, -0.045, -0.115),
    (0.47, -0.028, -0.110),
    (0.34, -0.012, -0.070),
    (0.23, -0.004, -0.025),
)


def field() -> Any:
    """Return the color map of energies: dark where low, pale where high, gray where masked."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(_between(_FIELD, 512), name="energy").with_extremes(bad=MASKED)


def steps(count: int = 256, *, night: bool = False) -> Any:
    """Return that many colors of the field from low to high, (count, 3) from 0 to 255."""
    return (255 * _between(_NIGHT if night else _FIELD, count)).round().astype(np.uint8)


def density() -> Any:
    """Return the color map of densities: dark where likely, as energies are."""
    return field().reversed("density").with_extremes(bad=MASKED)


def signed() -> Any:
    """Return the color map of signed numbers: blue below zero, white, orange above."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = ["#0a3f7a", "#4a8fc7", "#f7f7f5", "#e08a3c", "#8a3a00"]
    return LinearSegmentedColormap.from_list("signed", colors).with_extremes(bad=MASKED)


def color(number: int) -> str:
    """Return a line color; they repeat."""
    return LINES[number % len(LINES)]


def _between(anchors: Any, count: int) -> Any:
    at, along = np.linspace(0, 1, len(anchors)), np.linspace(0, 1, count)
    lab = [np.interp(along, at, [anchor[i] for anchor in anchors]) for i in range(3)]
    return _rgb(np.stack(lab, -1))


def _rgb(lab: Any) -> Any:
    """Return sRGB colors of OKLab ones (Ottosson, "A perceptual color space", 2020)."""
    to_cone = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((lab @ to_cone.T) ** 3 @ to_linear.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
