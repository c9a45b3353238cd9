# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks that were placed elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors, landmarks
from ..performer import need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.landmark_files import read_any
from ..performer.store import save_points
from ._base import Operator


class DIGIDOUBLE_OT_performer_landmarks_load(Operator, bpy.types.Operator):
    """Take the points of this photo from a file: landmarks.json, .pts, or a list of 68 pairs in JSON"""

    bl_idname = "digidouble.performer_landmarks_load"
    bl_label = "Load Landmarks"
    bl_options = {"REGISTER"}

    photo: StringProperty(name="Photo", description="Name of the photo", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filepath: StringProperty(name="File", subtype="FILE_PATH")  # type: ignore[valid-type]
    filter_glob: StringProperty(default="*.json;*.pts", options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: Any) -> set[str] | None:
        """See Operator. Points that do not lie on the photo are refused: they were made for another one."""
        state = state_of(need_performer(context))
        photo = state.photo(self.photo)
        if photo.facts.header is None:
            raise errors.InputError(photo.facts.problem or f"{photo.name} cannot be read.")
        file = read_any(Path(bpy.path.abspath(self.filepath)))
        landmarks.check_inside(photo.path, file.points, photo.facts.header.width, photo.facts.header.height)
        save_points(state, photo, file.points, file.found_by)
        GALLERY.forget()
        self.report({"INFO"}, f"{photo.name} has {len(file.points)} landmarks.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_landmarks_load)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_landmarks_load)
