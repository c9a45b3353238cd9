# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the double shall look like: list, photos with their landmarks, consent record, and what is still missing."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import landmarks
from ..performer import active_performer, folder_of, need_performer
from ..performer.folder import FolderState, PhotoState
from ..performer.gallery import GALLERY
from ..performer.roster import form_differs
from . import _performer_list
from ._base import Panel, order, sentence

_THUMBNAIL = 3.2  # of a button's height
_GOOD, _BAD, _ODD = "CHECKMARK", "ERROR", "INFO"


class DIGIDOUBLE_PT_performer(Panel, bpy.types.Panel):
    """Who the double shall look like, and who allowed it"""

    bl_idname = "DIGIDOUBLE_PT_performer"
    bl_label = "Performer"
    bl_order = order("performer")

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        scene, layout, width = context.scene.digidouble, self.layout, context.region.width
        performer = active_performer(context)
        if performer is None:
            _draw_beginning(layout, width)
            return
        row = layout.row()
        row.template_list(
            "DIGIDOUBLE_UL_performers", "", scene, "performers", scene, "active_performer", rows=2, maxrows=5
        )
        buttons = row.column(align=True)
        buttons.operator("digidouble.performer_add", text="", icon="ADD")
        buttons.operator("digidouble.performer_remove", text="", icon="REMOVE")
        buttons.operator("digidouble.performer_load_folder", text="", icon="FILE_FOLDER")
        buttons.operator("digidouble.performer_from_avatar", text="", icon="OUTLINER_OB_ARMATURE")
        state = GALLERY.state(folder_of(performer))
        problem = state.problem
        if not state.photos:
            sentence(layout, "Add photos of the performer.", width, _ODD)
        elif problem:
            sentence(layout, problem, width, _BAD, alert=True)
        else:
            sentence(layout, f"{performer.name} is ready.", width, _GOOD)


class DIGIDOUBLE_PT_performer_photos(Panel, bpy.types.Panel):
    """Photos of the performer and the facial points on them"""

    bl_idname = "DIGIDOUBLE_PT_performer_photos"
    bl_parent_id = "DIGIDOUBLE_PT_performer"
    bl_label = "Photos"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Called by Blender."""
        return active_performer(context) is not None

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, width = self.layout, context.region.width
        performer = need_performer(context)
        state = GALLERY.state(folder_of(performer))
        layout.prop(performer, "folder", text="")
        several = sum(bool(photo.points) for photo in state.photos) > 1
        for number, photo in enumerate(state.photos):
            _draw_photo(layout, photo, width, main=several and number == 0, choice=several)
        if state.file_problem:
            sentence(layout, state.file_problem, width, _BAD, alert=True)
        layout.operator("digidouble.performer_add_photos", icon="IMAGE_DATA")


class DIGIDOUBLE_PT_performer_consent(Panel, bpy.types.Panel):
    """Who allowed what with these photos, and until when"""

    bl_idname = "DIGIDOUBLE_PT_performer_consent"
    bl_parent_id = "DIGIDOUBLE_PT_performer"
    bl_label = "Consent"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Called by Blender."""
        return active_performer(context) is not None

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, width = self.layout, context.region.width
        performer = need_performer(context)
        state = GALLERY.state(folder_of(performer))
        if not state.photos:
            sentence(layout, "Add photos first: consent is given for these and no others.", width, _ODD)
            return
        _draw_consent_state(layout, performer, state, width)
        _draw_form(layout.column(), performer.consent)
        layout.prop(performer.consent, "confirmed", text="I confirm that it was given")  # all of it is too wide
        layout.operator("digidouble.performer_consent_write", icon="FILE_TICK")


def _draw_beginning(layout: Any, width: int) -> None:
    """Nobody yet: what can be done."""
    sentence(layout, "Who shall the double look like?", width)
    column = layout.column(align=True)
    column.operator("digidouble.performer_add", text="New from Photos", icon="ADD")
    column.operator("digidouble.performer_load_folder", text="Load a Folder", icon="FILE_FOLDER")
    column.operator("digidouble.performer_from_avatar", icon="OUTLINER_OB_ARMATURE")


def _draw_photo(layout: Any, photo: PhotoState, width: int, *, main: bool, choice: bool) -> None:
    """Thumbnail, points, buttons, and what is wrong with it. choice: another photo could be the main one."""
    box = layout.box()
    row = box.row()
    row.template_icon(icon_value=GALLERY.thumbnail(photo), scale=_THUMBNAIL)
    column = row.column()
    name = column.row(align=True)
    name.label(text=photo.name)
    if choice and photo.points:
        star = "SOLO_ON" if main else "SOLO_OFF"
        name.operator("digidouble.performer_photo_first", text="", icon=star, emboss=False).photo = photo.name
    name.operator("digidouble.performer_remove_photo", text="", icon="X", emboss=False).photo = photo.name
    counted = column.row(align=True)
    counted.alert = photo.problem is not None
    count, fewest = len(photo.points), landmarks.FEWEST_LANDMARKS
    text = f"{count} points" if count >= fewest else f"{count} of {fewest} points"
    counted.label(text=text, icon=_BAD if photo.problem else _GOOD)
    buttons = column.row(align=True)
    place = buttons.operator("digidouble.performer_landmarks_place", text="Place Points", icon="PIVOT_CURSOR")
    place.photo = photo.name
    buttons.operator("digidouble.performer_landmarks_load", text="", icon="IMPORT").photo = photo.name
    if photo.points:
        buttons.operator("digidouble.performer_landmarks_clear", text="", icon="TRASH").photo = photo.name
    if not photo.points:
        find = column.operator("digidouble.performer_landmarks_find", icon="VIEWZOOM")
        find.photo = photo.name
    if photo.problem and (count >= fewest or photo.facts.header is None):
        sentence(box, photo.problem, width - 20, _BAD, alert=True)
    elif photo.remark:
        sentence(box, photo.remark, width - 20, _ODD)


def _draw_consent_state(layout: Any, performer: Any, state: FolderState, width: int) -> None:
    """What the record on disk says of these photos."""
    if state.consent_problem:
        sentence(layout, state.consent_problem, width, _BAD, alert=True)
    elif state.record is not None:
        until = "Never expires" if state.record.expires is None else f"Holds until {state.record.expires}"
        sentence(layout, f"Recorded for {state.record.subject}. {until}.", width, _GOOD)
    if state.record is not None and form_differs(performer.consent, state.record):
        row = layout.row()
        row.label(text="The form says something else.", icon=_ODD)
        row.operator("digidouble.performer_consent_read", text="", icon="LOOP_BACK")


def _draw_form(column: Any, form: Any) -> None:
    column.use_property_split = True
    column.use_property_decorate = False
    for name in ("kind", "subject", "granted_by", "authority", "use"):
        column.prop(form, name)
    column.prop(form, "operations")
    if not form.never_expires:
        column.prop(form, "expires")
    column.prop(form, "never_expires")


CLASSES = (
    _performer_list.DIGIDOUBLE_UL_performers,
    DIGIDOUBLE_PT_performer,
    DIGIDOUBLE_PT_performer_photos,
    DIGIDOUBLE_PT_performer_consent,
)


def register() -> None:
    """Called by registration."""
    for item in CLASSES:
        bpy.utils.register_class(item)


def unregister() -> None:
    """Called by registration; the thumbnails go with it."""
    for item in reversed(CLASSES):
        bpy.utils.unregister_class(item)
    GALLERY.close()
