# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the selected meshes as the avatar."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..avatar_setup import checkup, choose, marks
from ._base import Operator


class DIGIDOUBLE_OT_avatar_from_selection(Operator, bpy.types.Operator):
    """Take the selected meshes as the character; the active one is its head"""

    bl_idname = "digidouble.avatar_from_selection"
    bl_label = "Use Selected Objects"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """Something must be selected."""
        if not [item for item in context.view_layer.objects.selected if item.type == "MESH"]:
            return "Select the meshes of one character, its head last."
        return None

    def run(self, context: Any) -> set[str] | None:
        """The active object is the head, or the mesh that is selected alone."""
        chosen = [item for item in context.view_layer.objects.selected if item.type == "MESH"]
        active = context.view_layer.objects.active
        if active not in chosen and len(chosen) > 1:
            raise errors.InputError("It is not clear which mesh is the head.", "Click the head last (Shift + click).")
        head = active if active in chosen else chosen[0]
        avatar = context.scene.digidouble.avatar
        avatar.head = head
        rigs = [item for item in context.view_layer.objects.selected if item.type == "ARMATURE"]
        if avatar.armature is None and rigs:
            avatar.armature = rigs[0]
        if len(chosen) > 1:
            choose.set_parts(avatar, sorted(set(chosen) - {head}, key=lambda item: item.name))
        marks.make(avatar, context.scene)
        checkup.check(avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_from_selection)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_from_selection)
