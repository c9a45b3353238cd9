# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a mesh out of the avatar."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty

from .._interchange import errors
from ..avatar_setup import checkup, marks
from ..avatar_setup.state import no_head
from ._base import Operator


class DIGIDOUBLE_OT_avatar_part_remove(Operator, bpy.types.Operator):
    """Take this mesh out of the character; the mesh itself stays"""

    bl_idname = "digidouble.avatar_part_remove"
    bl_label = "Remove Part"

    index: IntProperty(name="Part", description="Its place in the list", default=-1, min=-1)  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """The one at `index`; -1: the one that is active in the list."""
        avatar = context.scene.digidouble.avatar
        index = self.index if self.index >= 0 else avatar.active_part
        if index >= len(avatar.parts):
            raise errors.InputError("There is no such part.", "Choose one in the list.")
        avatar.parts.remove(index)
        avatar.active_part = max(0, min(avatar.active_part, len(avatar.parts) - 1))
        marks.make(avatar, context.scene)
        checkup.check(avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_part_remove)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_part_remove)
