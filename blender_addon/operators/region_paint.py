# SPDX-License-Identifier: GPL-3.0-or-later
"""Into weight paint on a region, and back."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..avatar_setup import regions
from ..avatar_setup.state import head_of, in_layer, no_head
from ._base import Operator


class DIGIDOUBLE_OT_region_paint(Operator, bpy.types.Operator):
    """Paint the chosen region on the head with Blender's weight paint; press again when done"""

    bl_idname = "digidouble.region_paint"
    bl_label = "Paint Region"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Enter, or leave if it is being painted."""
        head = head_of(context)
        if head.mode == "WEIGHT_PAINT":
            with context.temp_override(active_object=head, object=head):
                bpy.ops.object.mode_set(mode="OBJECT")
            return None
        if not in_layer(head, context.view_layer) or head.hide_get() or head.hide_viewport:
            raise errors.InputError(f"{head.name!r} is hidden.", "Show it in the outliner, then paint.")
        active = context.view_layer.objects.active
        if active is not None and active.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        group = regions.ready_to_paint(head, context.scene.digidouble.avatar.region)
        for item in context.view_layer.objects.selected:
            item.select_set(False)
        head.select_set(True)
        context.view_layer.objects.active = head
        head.vertex_groups.active_index = group.index
        with context.temp_override(active_object=head, object=head):
            bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_region_paint)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_region_paint)
