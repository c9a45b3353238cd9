# SPDX-License-Identifier: GPL-3.0-or-later
"""Guess the landmarks that are not placed."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup, vertex_marks
from ..avatar_setup.state import head_of, no_head, no_landmarks
from ._base import Operator


class DIGIDOUBLE_OT_landmarks_complete(Operator, bpy.types.Operator):
    """Guess the other landmarks from those that are placed. Guess again after moving one"""

    bl_idname = "digidouble.landmarks_complete"
    bl_label = "Fill In the Rest"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """Some must be there."""
        return no_head(context) or no_landmarks(context)

    def run(self, context: Any) -> set[str] | None:
        """Those that were placed stay; those that were guessed before are guessed anew."""
        count = vertex_marks.complete(head_of(context))
        self.report({"INFO"}, f"{count} landmarks filled in.")  # type: ignore[attr-defined]
        checkup.refresh(context.scene.digidouble.avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_landmarks_complete)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_landmarks_complete)
