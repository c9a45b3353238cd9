# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the face region from the landmarks."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import regions
from ..avatar_setup.state import head_of, no_head, no_landmarks
from ._base import Operator


class DIGIDOUBLE_OT_region_from_landmarks(Operator, bpy.types.Operator):
    """Mark face, lips and eyebrows on the head from its landmarks. What was painted before is replaced"""

    bl_idname = "digidouble.region_from_landmarks"
    bl_label = "Draw Regions from Landmarks"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """Some must be there."""
        return no_head(context) or no_landmarks(context)

    def run(self, context: Any) -> set[str] | None:
        """Write the vertex groups."""
        regions.from_landmarks(head_of(context))
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_region_from_landmarks)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_region_from_landmarks)
