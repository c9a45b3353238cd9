# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready-made camera rigs. No bpy; values are those of the panel's properties."""

from __future__ import annotations

import math
from typing import Any

_DOME = {"rig": "DOME", "low": math.radians(-25), "high": math.radians(50), "face_weight": 2.0, "framing": "AUTO"}

PRESETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "QUICK": (
        "Quick Look", "24 views, small pictures: to see whether all is right",
        {**_DOME, "train": 24, "held_out": 4, "width": 256, "height": 256, "lens_mm": 85.0},
    ),
    "STANDARD": (
        "Standard", "48 views and 8 held out, 512 pixels: good for most heads",
        {**_DOME, "train": 48, "held_out": 8, "width": 512, "height": 512, "lens_mm": 85.0},
    ),
    "FINE": (
        "Fine", "96 views and 12 held out, 1024 pixels: for close-ups",
        {**_DOME, "train": 96, "held_out": 12, "width": 1024, "height": 1024, "lens_mm": 85.0},
    ),
    "TURNTABLE": (
        "Turntable", "One level ring of 36 views around the head, 4 of them held out",
        {"rig": "RINGS", "per_ring": 36, "ring_count": 1, "low": 0.0, "held_out": 4, "framing": "AUTO",
         "width": 512, "height": 512, "lens_mm": 85.0},
    ),
    "STAGE": (
        "Light Stage", "5 rows of 13 cameras in front of the face, 6 of them held out",
        {"rig": "STAGE", "rows": 5, "columns": 13, "azimuth": math.radians(110), "low": math.radians(-20),
         "high": math.radians(45), "held_out": 6, "framing": "AUTO", "width": 768, "height": 768, "lens_mm": 100.0},
    ),
}  # fmt: skip
"""Name, what it is for, values of the properties, by identifier."""
