# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera rig: which, how many, what it will cost."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..capture.budget import estimate
from ..capture.preview import Preview
from ..capture.request import pose_count, render_from_panel, rig_from_panel
from ..capture.rigs import view_count
from ._base import Panel, order, sentence

_SHOWN = {  # properties of each rig
    "DOME": ("train", "held_out", "low", "high", "face_weight", "seed"),
    "SPHERE": ("train", "held_out", "low", "high", "seed"),
    "RINGS": ("per_ring", "ring_count", "low", "high", "held_out"),
    "STAGE": ("rows", "columns", "azimuth", "low", "high", "held_out"),
    "SCENE": ("held_out",),
}


class DIGIDOUBLE_PT_cameras(Panel, bpy.types.Panel):
    """Where the cameras stand"""

    bl_idname = "DIGIDOUBLE_PT_cameras"
    bl_label = "Cameras"
    bl_order = order("cameras")
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, rig = self.layout, context.scene.digidouble.cameras
        layout.operator_menu_enum("digidouble.cameras_preset", "preset", text="Preset", icon="PRESET")
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(rig, "rig")
        column = layout.column(align=True)
        for name in _SHOWN[rig.rig]:
            if name == "high" and rig.rig == "RINGS" and rig.ring_count == 1:
                continue
            column.prop(rig, name)
        if rig.rig == "SCENE":
            _draw_own_cameras(layout, rig)
        else:
            column = layout.column(align=True)
            column.prop(rig, "framing")
            if rig.framing == "FIXED":
                column.prop(rig, "distance")
            column.prop(rig, "lens_mm")
        column = layout.column(align=True)
        column.prop(rig, "width")
        column.prop(rig, "height")
        _draw_figures(layout, context)
        if rig.rig != "SCENE":
            row = layout.row()
            row.use_property_split = False  # a button with its name on it, not an eye far from its name
            row.prop(rig, "preview", toggle=True, icon="HIDE_OFF" if rig.preview else "HIDE_ON")
            row = layout.row(align=True)
            row.operator("digidouble.cameras_make", icon="OUTLINER_OB_CAMERA")
            row.operator("digidouble.cameras_remove", text="", icon="TRASH")


def _draw_own_cameras(layout: Any, rig: Any) -> None:
    column = layout.column(align=True)
    column.prop(rig, "collection")
    column.prop(rig, "use_path")
    if rig.use_path:
        column.prop(rig, "path_start")
        column.prop(rig, "path_end")
        column.prop(rig, "path_step")


def _draw_figures(layout: Any, context: Any) -> None:
    """Views, K, pixels, disk and time; or why there are none."""
    try:
        train, held_out = view_count(rig_from_panel(context))
        render = render_from_panel(context)
    except errors.InputError as error:
        sentence(layout, str(error), context.region.width, "ERROR", alert=True)
        return
    chosen = context.scene.digidouble.capture
    poses = pose_count(context)
    views = (train + held_out) * (1 if chosen.spread == "SPREAD" else poses)
    budget = estimate(render, views, set(chosen.layers), chosen.pace)
    box = layout.box().column(align=True)
    box.label(text=f"{train} views + {held_out} held out")
    if poses > 1:
        box.label(text=f"{poses} poses: {views} pictures")
    if context.scene.digidouble.cameras.rig != "SCENE":
        K = render.lens.intrinsics
        box.label(text=f"Lens {K[0, 0]:.1f} px, centre {K[0, 2]:g}, {K[1, 2]:g}")
    width, height = render.pixels
    box.label(text=f"{width} x {height}, {budget.megapixels:.1f} megapixels in all")
    about = "about" if chosen.pace else "roughly"
    box.label(text=f"{about} {budget.size} and {budget.duration}")


_preview = Preview()  # Blender's handle for drawing has to be kept until it is given back


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_PT_cameras)
    _preview.begin()


def unregister() -> None:
    """Called by registration."""
    _preview.end()
    bpy.utils.unregister_class(DIGIDOUBLE_PT_cameras)
