# SPDX-License-Identifier: GPL-3.0-or-later
"""Which photo settles tone and exposure."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..performer import need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.store import make_first
from ._base import Operator


class DIGIDOUBLE_OT_performer_photo_first(Operator, bpy.types.Operator):
    """Take skin tone and exposure from this photo; the others only add what it does not show"""

    bl_idname = "digidouble.performer_photo_first"
    bl_label = "Make Main Photo"
    bl_options = {"REGISTER"}

    photo: StringProperty(name="Photo", description="Name of the photo in the performer's folder")  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        state = state_of(need_performer(context))
        make_first(state, state.photo(self.photo))
        GALLERY.forget()
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_photo_first)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_photo_first)
