# SPDX-License-Identifier: GPL-3.0-or-later
"""A box that hides what is outside."""

from __future__ import annotations

from typing import Any

import bpy
from mathutils import Matrix, Vector

from ..display.double import bounds, collection_of, select_only
from ._double import DoubleOperator


class DIGIDOUBLE_OT_double_crop_box(DoubleOperator, bpy.types.Operator):
    """Put a box around the double; move, turn and size it: what is outside is hidden"""

    bl_idname = "digidouble.double_crop_box"
    bl_label = "Add Crop Box"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        item = context.object
        middle, half = bounds(item)
        box = bpy.data.objects.new(f"{item.name} crop", None)
        box.empty_display_type, box.empty_display_size = "CUBE", 1.0
        collection_of(item).objects.link(box)
        size = Matrix.Diagonal((*(half * 1.02).tolist(), 1.0))
        box.matrix_world = item.matrix_world @ Matrix.Translation(Vector(middle.tolist())) @ size
        item.digidouble.crop_box, item.digidouble.use_crop = box, True
        select_only(box, context)
        context.view_layer.objects.active = item  # the panel goes on showing the double
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_crop_box)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_crop_box)
