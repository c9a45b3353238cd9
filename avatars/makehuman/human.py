# SPDX-License-Identifier: Apache-2.0
"""A morphed human: the base mesh plus weighted targets, and the expressions on top of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..spec import SHAPE_KEYS
from .files import DataFolder, Obj
from .identities import Identity

Float = npt.NDArray[np.floating]

_EXPRESSIONS: dict[str, dict[str, float]] = {
    "jaw_open": {"mouth-open": 0.8},
    "smile": {"mouth-corner-puller": 1.0, "mouth-elevation": 0.15},
    "brows_up": {"eyebrows-left-up": 1.0, "eyebrows-right-up": 1.0},
    "brows_down": {"eyebrows-left-down": 1.0, "eyebrows-right-down": 1.0},
    "blink_left": {"eye-left-closure": 1.0},
    "blink_right": {"eye-right-closure": 1.0},
    "pucker": {"mouth-pursing": 0.8},
    "frown": {"mouth-depression": 1.0, "eyebrows-left-down": 0.45, "eyebrows-right-down": 0.45},
    "sneer": {"nose-left-elevation": 1.0, "nose-right-elevation": 1.0},
    "eyes_wide": {"eye-left-opened-up": 1.0, "eye-right-opened-up": 1.0},
    "lips_press": {"mouth-compression": 1.0},
}
"""Shape key -> expression units and their weights."""

assert set(SHAPE_KEYS) <= set(_EXPRESSIONS)


def morph(data: DataFolder, base: Obj, identity: Identity) -> Float:
    """Base mesh vertices (V, 3), files' axes and units, with the identity's targets added."""
    points = base.vertices.copy()
    for name, weight in identity.targets:
        target = data.target(name)
        points[target.ids] += weight * target.offsets
    return points


_OLD_PUCKER = 0.5
"""The units were made on young faces; pursed as far, the mouth's cavity breaks through an old face's sunken cheeks."""


def expression_offsets(data: DataFolder, person: Identity, count: int) -> dict[str, Float]:
    """Shape key -> displacement (V, 3) of all base vertices, files' axes and units."""
    result: dict[str, Float] = {}
    for key, units in _EXPRESSIONS.items():
        offset = np.zeros((count, 3))
        for unit, weight in units.items():
            target = data.target(f"expression/units/{person.race}/{unit}")
            offset[target.ids] += weight * target.offsets
        result[key] = offset * _OLD_PUCKER if key == "pucker" and "-old" in person.name else offset
    return result
