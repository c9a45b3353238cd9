# SPDX-License-Identifier: GPL-3.0-or-later
"""The first step: which character, what is wrong with it, its landmarks, its face region."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup, known, landmarks, marks, overlay, regions, vertex_marks
from ..avatar_setup.fixes import FIXES
from ..capture.avatar import avatar_names
from ._base import Panel, order, sentence

_ICONS = {"ERROR": "CANCEL", "WARNING": "ERROR", "INFO": "INFO"}
_MOST = 6  # findings; more at once only frighten
_MENU = "DIGIDOUBLE_MT_avatars"


class DIGIDOUBLE_MT_avatars(bpy.types.Menu):
    """Characters in this file that are set up already"""

    bl_idname = _MENU
    bl_label = "Use This Avatar"

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        for name in avatar_names():
            self.layout.operator("digidouble.avatar_use", text=name, icon="ARMATURE_DATA").name = name


class DIGIDOUBLE_UL_parts(bpy.types.UIList):
    """The meshes of a character beside its head"""

    bl_idname = "DIGIDOUBLE_UL_parts"
    bl_label = "Parts"

    def draw_item(self, context: Any, layout: Any, data: Any, item: Any, icon: int, active_data: Any,
                  active_property: str, index: int = 0, flt_flag: int = 0) -> None:  # fmt: skip
        """Called by Blender."""
        row = layout.row(align=True)
        row.label(text=item.item.name if item.item else "(deleted)", icon="MESH_DATA")
        row.prop(item, "part", text="")
        row.operator("digidouble.avatar_part_remove", text="", icon="X", emboss=False).index = index


class DIGIDOUBLE_PT_avatar(Panel, bpy.types.Panel):
    """Choose the character, check it, place its landmarks"""

    bl_idname = "DIGIDOUBLE_PT_avatar"
    bl_label = "Avatar"
    bl_order = order("avatar")

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        avatar, layout = context.scene.digidouble.avatar, self.layout
        head = avatar.usable_head(context)
        if head is None:
            _choose(layout, context, avatar)
            return
        _parts(layout, context, avatar)
        _findings(layout, context, avatar)
        _landmarks(layout, context, avatar, head)
        _region(layout, avatar, head)


def _choose(layout: Any, context: Any, avatar: Any) -> None:
    text = "Select the meshes of your character, its head last."
    if avatar.head is not None:
        text = f"The head {avatar.head.name!r} is no longer in the scene. {text}"
    sentence(layout, text, context.region.width)
    column = layout.column(align=True)
    column.scale_y = 1.3
    column.operator("digidouble.avatar_from_selection", icon="RESTRICT_SELECT_OFF")
    _use_button(column, avatar_names())
    layout.prop(avatar, "head")


def _use_button(layout: Any, names: list[str]) -> None:
    if len(names) > 1:
        layout.menu(_MENU, icon="ARMATURE_DATA")
    else:
        layout.operator("digidouble.avatar_use", icon="ARMATURE_DATA").name = names[0] if names else ""


def _parts(layout: Any, context: Any, avatar: Any) -> None:
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(avatar, "head")
    column.prop(avatar, "armature")
    rows = min(max(len(avatar.parts), 1), 6)
    layout.template_list("DIGIDOUBLE_UL_parts", "", avatar, "parts", avatar, "active_part", rows=rows, maxrows=8)
    row = layout.row(align=True)
    row.operator("digidouble.avatar_part_add", icon="ADD")
    row.operator("digidouble.avatar_from_selection", text="Start Over", icon="RESTRICT_SELECT_OFF")
    if len(avatar_names()) > 1:
        row.menu(_MENU, text="", icon="ARMATURE_DATA")
    if not marks.is_made(avatar):
        column = layout.column()
        column.scale_y = 1.3
        column.operator("digidouble.avatar_make", icon="CHECKMARK")


def _findings(layout: Any, context: Any, avatar: Any) -> None:
    shown = [entry for entry in avatar.findings if avatar.show_notes or entry.severity != "INFO"]
    notes = sum(entry.severity == "INFO" for entry in avatar.findings)
    row = layout.row(align=True)
    if not avatar.checked:
        row.operator("digidouble.avatar_check", icon="VIEWZOOM")
        return
    if not overlay.is_placing() and checkup.is_stale(avatar, context):
        row.operator("digidouble.avatar_check", text="Changed: Check Again", icon="FILE_REFRESH")
    elif not any(entry.severity != "INFO" for entry in avatar.findings):
        row.label(text="All is well", icon="CHECKMARK")
    else:
        row.label(text="Checks")
    if notes:
        row.prop(avatar, "show_notes", text=f"{notes} notes", toggle=True)
    for entry in shown[:_MOST]:
        _finding(layout, context, entry)
    if len(shown) > _MOST:
        layout.label(text=f"and {len(shown) - _MOST} more", icon="BLANK1")


def _finding(layout: Any, context: Any, entry: Any) -> None:
    box = layout.box().column(align=True)
    sentence(box, entry.sentence, context.region.width - 20, _ICONS[entry.severity], alert=entry.severity == "ERROR")
    fixes = [(key, FIXES[key]) for key in entry.fixes.split() if key in FIXES]
    if not fixes or entry.item is None:
        return
    row = box.row(align=True)
    for key, fix in fixes:
        button = row.operator("digidouble.avatar_fix", text=fix.label, icon=fix.icon)
        button.fix, button.item, button.detail = key, entry.item.name, entry.detail


def _landmarks(layout: Any, context: Any, avatar: Any, head: Any) -> None:
    ids, guessed = vertex_marks.ids_of(head), vertex_marks.guessed_of(head)
    count = sum(v >= 0 for v in ids)
    row = layout.row(align=True)
    row.label(text=f"Landmarks {count} / {landmarks.COUNT}", icon="CHECKMARK" if count == landmarks.COUNT else "DOT")
    row.prop(avatar, "show_landmarks", text="", icon="HIDE_OFF" if avatar.show_landmarks else "HIDE_ON")
    column = layout.column(align=True)
    if overlay.is_placing():
        sentence(column, "Click in the 3D view; Esc when done.", context.region.width, "MOUSE_LMB")
    elif count < landmarks.COUNT:
        if known.may_be_known(head.data):
            column.operator("digidouble.landmarks_find", icon="VIEWZOOM")
        row = column.row(align=True)
        for mode, text in (("NORMAL", "15 Points"), ("QUICK", "5 Points"), ("ALL", "All 68")):
            row.operator("digidouble.landmarks_place", text=text).mode = mode
    if not count:
        return
    placed = count - len(guessed)
    if guessed or count < landmarks.COUNT:
        label = f"{placed} placed, {len(guessed)} guessed" if guessed else f"{placed} placed"
        column.label(text=label, icon="BLANK1")
        column.operator("digidouble.landmarks_complete", text="Guess Again" if guessed else "Fill In the Rest",
                        icon="MOD_MESHDEFORM")  # fmt: skip
    row = column.row(align=True)
    row.operator("digidouble.landmarks_place", text="Move", icon="RESTRICT_SELECT_OFF").mode = "MOVE"
    row.operator("digidouble.landmarks_mirror", icon="MOD_MIRROR")
    row.operator("digidouble.landmarks_clear", icon="X")


def _region(layout: Any, avatar: Any, head: Any) -> None:
    painting = head.mode == "WEIGHT_PAINT"
    there = regions.has(head, "region_face")
    layout.label(text="Face region" if there else "Face region: none yet", icon="CHECKMARK" if there else "DOT")
    column = layout.column(align=True)
    column.operator("digidouble.region_from_landmarks", icon="MOD_VERTEX_WEIGHT")
    row = column.row(align=True)
    row.prop(avatar, "region", text="")
    row.operator("digidouble.region_paint", text="Done Painting" if painting else "Paint", icon="WPAINT_HLT",
                 depress=painting)  # fmt: skip


_CLASSES = (DIGIDOUBLE_MT_avatars, DIGIDOUBLE_UL_parts, DIGIDOUBLE_PT_avatar)


def register() -> None:
    """Called by registration; the landmarks are drawn from now on."""
    for item in _CLASSES:
        bpy.utils.register_class(item)
    overlay.register()


def unregister() -> None:
    """Called by registration."""
    overlay.unregister()
    for item in reversed(_CLASSES):
        bpy.utils.unregister_class(item)
