# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo goes."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..performer import need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.store import remove_photo
from ._base import Operator


class DIGIDOUBLE_OT_performer_remove_photo(Operator, bpy.types.Operator):
    """Delete this photo and its landmarks from the performer's folder"""

    bl_idname = "digidouble.performer_remove_photo"
    bl_label = "Remove Photo"
    bl_options = {"REGISTER"}

    photo: StringProperty(name="Photo", description="Name of the photo in the performer's folder")  # type: ignore[valid-type]

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: the file is deleted, and that cannot be undone."""
        return context.window_manager.invoke_confirm(
            self, event, title="Delete Photo", icon="WARNING", confirm_text="Delete",
            message=f"{self.photo} and its landmarks are deleted from the performer's folder.",
        )  # fmt: skip

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        remove_photo(state_of(need_performer(context)).photo(self.photo))
        GALLERY.forget()
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_remove_photo)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_remove_photo)
