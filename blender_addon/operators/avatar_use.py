# SPDX-License-Identifier: GPL-3.0-or-later
"""Take an avatar that is marked in the file."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..avatar_setup import checkup, choose
from ..capture.avatar import avatar_names, find_avatar
from ._base import Operator


class DIGIDOUBLE_OT_avatar_use(Operator, bpy.types.Operator):
    """Take a character that is set up already, as the sample characters are"""

    bl_idname = "digidouble.avatar_use"
    bl_label = "Use This Avatar"

    name: StringProperty(name="Avatar", description="The character's collection. Empty: the only one")  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """There must be one."""
        return None if avatar_names() else "No character in this file is set up yet. Select its meshes instead."

    def run(self, context: Any) -> set[str] | None:
        """Fill in the panel from the marks, and check."""
        found = find_avatar(context.scene, context.view_layer, self.name or None, strict=False)
        settings = context.scene.digidouble.avatar
        choose.use_avatar(settings, found, bpy.data.collections[found.name])
        checkup.check(settings, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_use)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_use)
