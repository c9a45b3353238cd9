# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering the views: quality, passes, poses, where to; and what can be done with cameras alone."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from ..capture.avatar import avatar_names
from ..capture.place import capture_folder, is_complete
from ..folders import shown
from ._base import Panel, order, sentence

_NEEDED = {"albedo", "light", "depth", "uv"}


class DIGIDOUBLE_PT_capture(Panel, bpy.types.Panel):
    """Render the avatar from all sides"""

    bl_idname = "DIGIDOUBLE_PT_capture"
    bl_label = "Capture"
    bl_order = order("capture")
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, chosen = self.layout, context.scene.digidouble.capture
        layout.use_property_split = True
        layout.use_property_decorate = False
        width = context.region.width
        _draw_quality(layout, chosen, width)
        _draw_poses(layout, chosen, width)
        layout.prop(chosen, "folder")
        folder = capture_folder(context)
        if not bpy.data.filepath and not chosen.folder:
            sentence(layout, "Save the file first, and captures go beside it.", width, "INFO")
        complete = is_complete(folder)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("digidouble.capture", text="Capture Again" if complete else "Capture", icon="RENDER_STILL")
        if complete:
            sentence(layout, f"A finished capture is in {shown(folder)}", width, "CHECKMARK")
        if len(avatar_names()) > 1:
            layout.operator("digidouble.capture_all", icon="RENDER_ANIMATION")


def _draw_quality(layout: Any, chosen: Any, width: int) -> None:
    column = layout.column(align=True)
    column.prop(chosen, "engine")
    column.prop(chosen, "samples")
    if chosen.engine == "CYCLES":
        column.prop(chosen, "bounces")
        if compat.has_denoiser():
            column.prop(chosen, "denoise")
        else:
            sentence(layout, "This Blender has no OpenImageDenoise: use more samples.", width, "INFO")
    if not set(chosen.layers) >= _NEEDED:
        sentence(layout, "A face swap needs colour, light, depth and UV: choose them below, in More.", width, "INFO")


def _draw_poses(layout: Any, chosen: Any, width: int) -> None:
    column = layout.column(align=True)
    column.prop(chosen, "poses")
    if chosen.poses == "FRAMES":
        for name in ("frame_start", "frame_end", "frame_step"):
            column.prop(chosen, name)
    elif chosen.poses == "ACTIONS":
        for index, item in enumerate(chosen.actions):
            row = column.row(align=True)
            row.prop(item, "action", text="")
            row.operator("digidouble.capture_action_remove", text="", icon="X").index = index
        column.operator("digidouble.capture_action_add", icon="ADD")
        column.prop(chosen, "per_action")
    elif chosen.poses == "EXPRESSIONS":
        for name in ("expression_count", "expression_keys", "expression_strength", "expression_seed"):
            column.prop(chosen, name)
    if chosen.poses != "CURRENT":
        layout.prop(chosen, "spread", text="")
        sentence(layout, "A double is fitted to the first pose; all are there for other trainers.", width, "INFO")


class DIGIDOUBLE_PT_capture_more(Panel, bpy.types.Panel):
    """Passes, portrait, exports and rarer settings"""

    bl_idname = "DIGIDOUBLE_PT_capture_more"
    bl_label = "More"
    bl_parent_id = "DIGIDOUBLE_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, chosen = self.layout, context.scene.digidouble.capture
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(chosen, "layers")
        column.prop(chosen, "without_landmarks")
        layout.operator("digidouble.portrait", icon="USER")
        layout.operator("digidouble.export_transforms", icon="EXPORT")
        layout.operator("digidouble.export_colmap", icon="EXPORT")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_PT_capture)
    bpy.utils.register_class(DIGIDOUBLE_PT_capture_more)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_PT_capture_more)
    bpy.utils.unregister_class(DIGIDOUBLE_PT_capture)
