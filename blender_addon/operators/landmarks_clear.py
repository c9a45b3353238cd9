# SPDX-License-Identifier: GPL-3.0-or-later
"""Forget the landmarks."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup, vertex_marks
from ..avatar_setup.state import head_of, no_head, no_landmarks
from ._base import Operator


class DIGIDOUBLE_OT_landmarks_clear(Operator, bpy.types.Operator):
    """Take all landmarks off this head"""

    bl_idname = "digidouble.landmarks_clear"
    bl_label = "Clear"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """Some must be there."""
        return no_head(context) or no_landmarks(context)

    def run(self, context: Any) -> set[str] | None:
        """All of them."""
        vertex_marks.clear(head_of(context))
        checkup.refresh(context.scene.digidouble.avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_landmarks_clear)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_landmarks_clear)
