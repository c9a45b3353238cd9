# SPDX-License-Identifier: GPL-3.0-or-later
"""A source folder that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors
from ..performer import state_of
from ..performer.gallery import GALLERY
from ..performer.roster import add_performer, fill_form
from ._base import Operator


class DIGIDOUBLE_OT_performer_load_folder(Operator, bpy.types.Operator):
    """Choose a folder that has photos of a performer, perhaps with landmarks and a consent record"""

    bl_idname = "digidouble.performer_load_folder"
    bl_label = "Load Performer Folder"

    directory: StringProperty(name="Folder", subtype="DIR_PATH")  # type: ignore[valid-type]
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        if not self.directory.strip():
            raise errors.InputError("No folder is chosen.", "Choose the folder with the photos.")
        folder = Path(bpy.path.abspath(self.directory))
        if not folder.is_dir():
            raise errors.InputError(f"There is no folder {folder}.", "Choose one that is there.")
        performer = add_performer(context, folder.name, folder)
        fill_form(performer)
        GALLERY.forget()
        problem = state_of(performer).problem
        self.report({"INFO"}, f"Loaded {performer.name}. {problem or 'All is there.'}")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_load_folder)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_load_folder)
