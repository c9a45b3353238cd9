# SPDX-License-Identifier: GPL-3.0-or-later
"""Add selected meshes to the avatar."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup, choose, marks
from ..avatar_setup.state import no_head
from ._base import Operator


class DIGIDOUBLE_OT_avatar_part_add(Operator, bpy.types.Operator):
    """Add the selected meshes to this character"""

    bl_idname = "digidouble.avatar_part_add"
    bl_label = "Add Selected"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        if not [item for item in context.view_layer.objects.selected if item.type == "MESH"]:
            return no_head(context) or "Select the meshes to add."
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Those that are new."""
        avatar = context.scene.digidouble.avatar
        known = {entry.item for entry in avatar.parts} | {avatar.head}
        for item in context.view_layer.objects.selected:
            if item.type == "MESH" and item not in known:
                entry = avatar.parts.add()
                entry.item, entry.part = item, choose.guess_part(item, avatar.head)
        marks.make(avatar, context.scene)
        checkup.check(avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_part_add)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_part_add)
