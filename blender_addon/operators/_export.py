# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exports of cameras share: which cameras, and where to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty

from .._interchange import errors
from ..capture.avatar import avatar_names
from ..capture.place import avatar_folder, capture_folder, is_complete
from ._base import Operator


class ExportOperator(Operator):
    """Subclasses have the property `filepath`, the name that is suggested for it and what kind of place it is."""

    bl_options = {"REGISTER"}
    suggested = ""
    place = "folder"

    source: EnumProperty(  # type: ignore[valid-type]
        name="Cameras",
        items=(("RIG", "Rig", "The cameras as the panel has them, without pictures"),
               ("CAPTURE", "Capture", "Cameras and pictures of the finished capture")),
        default="RIG",
        description="Which cameras to write",
    )  # fmt: skip

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return None if avatar_names() else "Set up an avatar first"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the place."""
        if bpy.app.background:
            return self.execute(context)
        self.source = "CAPTURE" if is_complete(capture_folder(context)) else "RIG"
        self.filepath = str(avatar_folder(context) / self.suggested)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def chosen_path(self) -> Path:
        """Where to write. Raises InputError if no place was given."""
        if not self.filepath:
            raise errors.InputError("No place was given.", f"Choose a {self.place}.")
        return Path(bpy.path.abspath(self.filepath))

    def tell(self, count: int, path: Path) -> None:
        """Report what was written."""
        self.report({"INFO"}, f"{count} cameras written to {path}.")  # type: ignore[attr-defined]
