"""Numbers as the page carries them: arrays in base64, energies of a film in 16 bits."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASKED = 65_535
"""The integer of an energy that is not finite."""

REACH = 40.0
"""How many color ranges above the lowest energy the integers of a film reach, at most."""


def floats(values: Any) -> str:
    """Return numbers as the base64 of 32-bit floats, NaN where they are not finite."""
    kept = np.asarray(values, dtype="<f4")
    return _text(np.where(np.isfinite(kept), kept, np.float32(np.nan)))


def octets(values: Any) -> str:
    """Return numbers between 0 and 255 as the base64 of bytes."""
    return _text(np.asarray(values, dtype=np.uint8))


def film(values: NDArray[np.floating], high: float) -> dict[str, Any]:
    """Return energies as 16-bit integers on one range for all frames.

        E = low + (high - low) k / 65534,    k = 65535 where it is not finite

    The range goes from the lowest energy to the highest, or as far above the lowest as
    `REACH` times the range of the colors: a spike must not cost the wells their steps.

    Args:
        values: (frames, rows, columns).
        high: How far above its lowest an energy has the palest color.
    """
    finite = np.isfinite(values)
    low = float(values[finite].min()) if finite.any() else 0.0
    top = float(values[finite].max()) if finite.any() else 1.0
    per_frame = np.where(finite, values, np.inf).min(axis=(1, 2))
    highest = float(per_frame[np.isfinite(per_frame)].max(initial=low))
    top = min(top, highest + REACH * high)
    unit = ((top - low) or 1.0) / (MASKED - 1)
    whole = np.rint((np.where(finite, np.clip(values, low, top), low) - low) / unit)
    whole = np.where(finite, whole, MASKED).astype("<u2")
    return {"low": low, "high": low + unit * (MASKED - 1), "values": _text(whole)}


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
