# SPDX-License-Identifier: GPL-3.0-or-later
"""The last step: the double in the scene."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from ..display import follow
from ..display.pointcloud import is_double
from ..display.selection import SELECTED
from ._base import Panel, order, sentence


class DIGIDOUBLE_PT_double(Panel, bpy.types.Panel):
    """How the active double is shown, what it follows, and its files"""

    bl_idname = "DIGIDOUBLE_PT_double"
    bl_label = "Double"
    bl_order = order("double")

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, item = self.layout, context.object
        if not is_double(item):
            sentence(layout, "Select a double to work on it, or bring one into the scene.", context.region.width)
            column = layout.column(align=True)
            column.operator("digidouble.import_splats", text="Import Splats...", icon="IMPORT")
            column.operator("digidouble.show_double", text="Show Finished Double...", icon="OUTLINER_OB_POINTCLOUD")
            return
        said = item.digidouble
        layout.label(text=f"{item.name}: {len(item.data.points):,} splats", icon="OUTLINER_OB_POINTCLOUD")
        layout.row(align=True).prop(said, "mode", expand=True)
        self._shading(context)
        if said.mode == "SPLATS":
            self._splats(context, said)
        self._following(context, item)
        layout.operator("digidouble.double_backend_view", icon="RENDER_STILL")
        layout.operator("digidouble.double_export", text="Export...", icon="EXPORT")

    def _shading(self, context: Any) -> None:
        """Blender shows no colours of point clouds in solid view: say so, with the switch beside it."""
        shading = getattr(context.space_data, "shading", None)
        if shading is not None and shading.type in ("WIREFRAME", "SOLID"):
            sentence(self.layout, "This view is grey; colours show in the two on the right.", context.region.width)
            self.layout.row(align=True).prop(shading, "type", expand=True)

    def _splats(self, context: Any, said: Any) -> None:
        column, scene = self.layout.column(), context.scene
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(said, "shape")
        column.prop(said, "density")
        column.prop(said, "raw_colours")
        wanted = "Raw" if said.raw_colours else "Standard"
        if scene.view_settings.view_transform != wanted:
            sentence(column, f"Colours are right with the view transform {wanted}.", context.region.width, "INFO")
            column.prop(scene.view_settings, "view_transform")
        if scene.camera is None:
            text = "The scene has no camera; splats are coloured for the active one."
            sentence(column, text, context.region.width, "INFO")
        if scene.render.engine not in ("CYCLES", compat.eevee_engine()):
            sentence(column, "Render with Cycles or EEVEE to see splats.", context.region.width, "INFO")

    def _following(self, context: Any, item: Any) -> None:
        box = self.layout.box()
        if not follow.is_bound(item):
            sentence(box, "This double stands still: it is bound to no avatar.", context.region.width)
            box.operator("digidouble.double_bind", text="Bind to Avatar...", icon="LINKED")
            return
        box.prop(item.digidouble, "follow")
        box.prop(item.digidouble, "show_avatar")
        problem = follow.what_is_wrong(item)
        if problem:
            sentence(box, problem, context.region.width, "ERROR", alert=True)
            box.operator("digidouble.double_bind", text="Bind Again...", icon="LINKED")


class DIGIDOUBLE_PT_double_edit(Panel, bpy.types.Panel):
    """Crop, select, recolour and move the double's splats"""

    bl_idname = "DIGIDOUBLE_PT_double_edit"
    bl_label = "Edit"
    bl_parent_id = "DIGIDOUBLE_PT_double"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Called by Blender."""
        return is_double(context.object)

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, item = self.layout, context.object
        said = item.digidouble
        column = layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(said, "least_opacity")
        column.prop(said, "largest")
        if said.crop_box is None:
            layout.operator("digidouble.double_crop_box", icon="CUBE")
        else:
            row = layout.row(align=True)
            row.prop(said, "use_crop")
            row.prop(said, "crop_box", text="")
        layout.operator("digidouble.double_keep_shown", icon="TRASH")
        layout.separator()
        has_selection = SELECTED in item.data.attributes
        text = "Edits change the selected splats" if has_selection else "Edits change all splats"
        layout.label(text=text, icon="RESTRICT_SELECT_OFF")
        row = layout.row(align=True)
        row.operator("digidouble.double_select", text="Select")
        row.operator("digidouble.double_select", text="", icon="X").by = "NONE"
        column = layout.column(align=True)
        column.operator("digidouble.double_recolour", icon="COLOR")
        column.operator("digidouble.double_duplicate", icon="DUPLICATE")
        column.operator("digidouble.double_delete", icon="X")
        layout.operator("digidouble.double_apply_transform", icon="OBJECT_ORIGIN")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_PT_double)
    bpy.utils.register_class(DIGIDOUBLE_PT_double_edit)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_PT_double_edit)
    bpy.utils.unregister_class(DIGIDOUBLE_PT_double)
