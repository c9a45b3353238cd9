# SPDX-License-Identifier: GPL-3.0-or-later
"""All landmarks of a photo go."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..performer import need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.store import save_points
from ._base import Operator


class DIGIDOUBLE_OT_performer_landmarks_clear(Operator, bpy.types.Operator):
    """Take all points off this photo, to begin again"""

    bl_idname = "digidouble.performer_landmarks_clear"
    bl_label = "Clear Landmarks"
    bl_options = {"REGISTER"}

    photo: StringProperty(name="Photo", description="Name of the photo in the performer's folder")  # type: ignore[valid-type]

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: they are in a file, which undo does not bring back."""
        return context.window_manager.invoke_confirm(
            self, event, title="Clear Landmarks", icon="WARNING", confirm_text="Clear",
            message=f"All points on {self.photo} are deleted.",
        )  # fmt: skip

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        state = state_of(need_performer(context))
        save_points(state, state.photo(self.photo), {})
        GALLERY.forget()
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_landmarks_clear)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_landmarks_clear)
