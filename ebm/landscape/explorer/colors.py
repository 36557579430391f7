"""The palette as the page needs it: by day and by night."""

from typing import Any

from ebm.landscape import palette
from ebm.landscape.explorer import encode

_SHARED: dict[str, Any] = {
    "data": palette.DATA,
    "dataEdge": palette.DATA_EDGE,
    "samples": palette.SAMPLES,
    "samplesEdge": palette.SAMPLES_EDGE,
    "trail": palette.PATHS,
    "trailEdge": "rgb(255 255 255 / 0.45)",
    "crosshair": palette.INK,
    "masked": [196, 192, 186],
}


def of_page() -> dict[str, Any]:
    """Return the colors of the field and of what lies on it, for both themes."""
    day = {
        **_SHARED,
        "field": encode.octets(palette.steps()),
        "contourLow": [255, 255, 255],
        "contourHigh": [26, 51, 89],
        "wallX": [206, 216, 226],
        "wallY": [190, 202, 214],
        "ink": palette.INK,
        "quiet": "#5d6873",
        "rule": palette.RULE,
        "bars": "#e9a3cd",
        "band": "rgb(224 53 154 / 0.16)",
        "followed": "rgb(176 0 95 / 0.35)",
        "warning": "rgb(180 60 0 / 0.6)",
    }
    night = {
        **day,
        "field": encode.octets(palette.steps(night=True)),
        "contourLow": [10, 30, 60],
        "contourHigh": [190, 215, 240],
        "wallX": [44, 56, 69],
        "wallY": [36, 46, 58],
        "samplesEdge": "#ff4fb2",
        "masked": [74, 72, 70],
        "ink": "#e8ecef",
        "quiet": "#a3aeb8",
        "rule": "#2b343d",
        "bars": "#9c3a74",
        "band": "rgb(255 79 178 / 0.2)",
        "followed": "rgb(255 120 195 / 0.4)",
        "trailEdge": "rgb(0 0 0 / 0.4)",
        "warning": "rgb(255 170 80 / 0.75)",
    }
    return {"day": day, "night": night}
