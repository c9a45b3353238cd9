# SPDX-License-Identifier: GPL-3.0-or-later
"""Mark what the panel shows as the avatar."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup, marks
from ..avatar_setup.state import no_head
from ._base import Operator


class DIGIDOUBLE_OT_avatar_make(Operator, bpy.types.Operator):
    """Mark these meshes as one character. They stay where they are; a collection of their own is added"""

    bl_idname = "digidouble.avatar_make"
    bl_label = "Set Up Avatar"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Write the marks, then check."""
        avatar = context.scene.digidouble.avatar
        marks.make(avatar, context.scene)
        checkup.check(avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_make)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_make)
