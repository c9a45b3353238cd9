# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy landmarks to the other side."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup, meshes, placing, vertex_marks
from ..avatar_setup.state import head_of, no_head, no_landmarks
from ._base import Operator


class DIGIDOUBLE_OT_landmarks_mirror(Operator, bpy.types.Operator):
    """Copy landmarks to the other side of the face where they are missing there"""

    bl_idname = "digidouble.landmarks_mirror"
    bl_label = "Mirror"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """Some must be there."""
        return no_head(context) or no_landmarks(context)

    def run(self, context: Any) -> set[str] | None:
        """Guessed ones count as missing."""
        head = head_of(context)
        placed = vertex_marks.placed_of(head)
        found = placing.mirror_all(meshes.get(head.data.vertices, "co", 3), placed)
        for index, vertex in found.items():
            vertex_marks.put(head, index, vertex)
        self.report({"INFO"}, f"{len(found)} landmarks mirrored.")  # type: ignore[attr-defined]
        checkup.refresh(context.scene.digidouble.avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_landmarks_mirror)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_landmarks_mirror)
