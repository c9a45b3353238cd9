# SPDX-License-Identifier: GPL-3.0-or-later
"""The 68 points in words, in the order in which they are asked for, and the lines that join them. No bpy.

Right and left are the performer's own; the names say where that is in the picture, since that is where people look.
"""

from __future__ import annotations

BEST_FIVE = (30, 36, 45, 48, 54)
"""Tip of the nose, outer corners of the eyes, corners of the mouth: asked for first."""

ORDER = (*BEST_FIVE, 39, 42, 37, 38, 40, 41, 43, 44, 46, 47, *range(27, 30), *range(31, 36), *range(49, 54),
         *range(55, 60), *range(17, 27), 8, *range(8), *range(9, 17), *range(60, 68))  # fmt: skip
"""All ids: the best five, then eyes, nose, outer lips, brows, jaw, inner lips."""

LINES = (
    (tuple(range(17)), False),
    (tuple(range(17, 22)), False),
    (tuple(range(22, 27)), False),
    (tuple(range(27, 31)), False),
    (tuple(range(31, 36)), False),
    (tuple(range(36, 42)), True),
    (tuple(range(42, 48)), True),
    (tuple(range(48, 60)), True),
    (tuple(range(60, 68)), True),
)
"""(ids along a line, closed)."""

_RIGHT, _LEFT = "at the picture's left", "at the picture's right"
_NAMES = {
    8: "tip of the chin",
    17: f"brow {_RIGHT}, outer end",
    19: f"brow {_RIGHT}, middle",
    21: f"brow {_RIGHT}, inner end",
    22: f"brow {_LEFT}, inner end",
    24: f"brow {_LEFT}, middle",
    26: f"brow {_LEFT}, outer end",
    27: "top of the nose, between the eyes",
    28: "bridge of the nose, upper third",
    29: "bridge of the nose, lower third",
    30: "tip of the nose",
    31: f"wing of the nose {_RIGHT}",
    32: f"nostril {_RIGHT}",
    33: "where the nose meets the upper lip",
    34: f"nostril {_LEFT}",
    35: f"wing of the nose {_LEFT}",
    36: f"eye {_RIGHT}, outer corner",
    37: f"eye {_RIGHT}, upper lid, outer",
    38: f"eye {_RIGHT}, upper lid, inner",
    39: f"eye {_RIGHT}, inner corner",
    40: f"eye {_RIGHT}, lower lid, inner",
    41: f"eye {_RIGHT}, lower lid, outer",
    42: f"eye {_LEFT}, inner corner",
    43: f"eye {_LEFT}, upper lid, inner",
    44: f"eye {_LEFT}, upper lid, outer",
    45: f"eye {_LEFT}, outer corner",
    46: f"eye {_LEFT}, lower lid, outer",
    47: f"eye {_LEFT}, lower lid, inner",
    48: f"corner of the mouth {_RIGHT}",
    50: f"upper lip, peak {_RIGHT}",
    51: "upper lip, dip in the middle",
    52: f"upper lip, peak {_LEFT}",
    54: f"corner of the mouth {_LEFT}",
    57: "lower lip, middle of its lower edge",
    60: f"inside of the mouth's corner {_RIGHT}",
    62: "inner edge of the upper lip, middle",
    64: f"inside of the mouth's corner {_LEFT}",
    66: "inner edge of the lower lip, middle",
}
_PARTS = (
    (range(0, 8), f"jaw line {_RIGHT}", "from the ear down"),
    (range(9, 17), f"jaw line {_LEFT}", "from the chin up"),
    (range(17, 22), f"brow {_RIGHT}", "from its outer end"),
    (range(22, 27), f"brow {_LEFT}", "from its inner end"),
    (range(48, 55), "upper lip", "from the left"),
    (range(55, 60), "lower lip", "from the right"),
    (range(60, 65), "inner edge of the upper lip", "from the left"),
    (range(65, 68), "inner edge of the lower lip", "from the right"),
)


def name_of(index: int) -> str:
    """A point in words, for a hint: "tip of the nose"."""
    if index in _NAMES:
        return _NAMES[index]
    for ids, part, way in _PARTS:
        if index in ids:
            return f"{part}, point {index - ids.start + 1} of {len(ids)} {way}"
    raise KeyError(index)
