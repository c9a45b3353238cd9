# SPDX-License-Identifier: GPL-3.0-or-later
"""Place one landmark."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty

from ..avatar_setup import checkup, vertex_marks
from ..avatar_setup.state import head_of, no_head
from ._base import Operator


class DIGIDOUBLE_OT_landmark_set(Operator, bpy.types.Operator):
    """Place one of the 68 face landmarks on a vertex of the head; vertex -1 takes it away"""

    bl_idname = "digidouble.landmark_set"
    bl_label = "Set Landmark"

    index: IntProperty(name="Landmark", description="Which of the 68 landmarks, from 0", min=0, max=67)  # type: ignore[valid-type]
    vertex: IntProperty(name="Vertex", description="Vertex of the head's mesh, -1 for none", default=-1, min=-1)  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Place it."""
        vertex_marks.put(head_of(context), self.index, self.vertex)
        checkup.refresh(context.scene.digidouble.avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_landmark_set)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_landmark_set)
