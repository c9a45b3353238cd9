# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos into a performer's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty

from .._interchange import errors
from ..folders import safe_name
from ..performer import need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.photo_header import SUFFIXES
from ..performer.store import add_photo
from ._base import Operator

_PATTERN = ";".join(f"*{suffix}" for suffix in SUFFIXES)
_PICTURES = (("THUMBNAIL", "Thumbnails", "", "NONE", 3),)  # of the file browser; 3 is its own number for it


class DIGIDOUBLE_OT_performer_add_photos(Operator, bpy.types.Operator):
    """Copy photos into the performer's folder. Best: from the front, soft light, mouth closed, no glasses"""

    bl_idname = "digidouble.performer_add_photos"
    bl_label = "Add Photos"
    bl_options = {"REGISTER"}

    filepath: StringProperty(name="Photo", description="One photo, for scripts", subtype="FILE_PATH")  # type: ignore[valid-type]
    directory: StringProperty(subtype="DIR_PATH")  # type: ignore[valid-type]
    files: CollectionProperty(type=bpy.types.OperatorFileListElement)  # type: ignore[valid-type]
    filter_glob: StringProperty(default=_PATTERN, options={"HIDDEN"})  # type: ignore[valid-type]
    display_type: EnumProperty(items=_PICTURES, default="THUMBNAIL", options={"HIDDEN"})  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return None if context.scene.digidouble.performers else "Add a performer first"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the photos."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: Any) -> set[str] | None:
        """See Operator. What can be used is added even if other files cannot."""
        performer = need_performer(context)
        added, refusals = [], []
        for path in self._paths():
            try:
                name = add_photo(state_of(performer), path, safe_name)
            except errors.InputError as error:
                refusals.append(str(error))
                continue
            if name is not None:
                added.append(name)
        GALLERY.forget()
        if refusals:
            raise errors.InputError(" ".join(refusals), f"{len(added)} other photos were added." if added else "")
        told = f"Added {', '.join(added)}." if added else "These photos are in the folder already."
        self.report({"INFO"}, told)  # type: ignore[attr-defined]
        return None

    def _paths(self) -> list[Path]:
        folder = Path(bpy.path.abspath(self.directory)) if self.directory else None
        names = [item.name for item in self.files if item.name]
        if folder is not None and names:
            return [folder / name for name in names]
        if not self.filepath.strip() or Path(self.filepath).is_dir():
            raise errors.InputError("No photo is chosen.", "Choose one or more pictures.")
        return [Path(bpy.path.abspath(self.filepath))]


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_add_photos)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_add_photos)
