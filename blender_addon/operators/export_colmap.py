# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as a COLMAP model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from .._interchange import errors
from ..capture.avatar import avatar_names
from ..capture.export import export_source, write_colmap_model
from ..capture.place import avatar_folder, capture_folder, is_complete
from ._base import Operator


class DIGIDOUBLE_OT_export_colmap(Operator, bpy.types.Operator):
    """Write cameras and points as a COLMAP text model for other trainers, with or without a capture"""

    bl_idname = "digidouble.export_colmap"
    bl_label = "Export COLMAP"
    bl_options = {"REGISTER"}

    filepath: StringProperty(name="Path", subtype="DIR_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
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
        self.filepath = str(avatar_folder(context) / "colmap")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        if not self.filepath:
            raise errors.InputError("No place was given.", "Choose a folder.")
        path = Path(bpy.path.abspath(self.filepath))
        captured, points = export_source(context, self.source)
        count = write_colmap_model(path, captured, points)
        self.report({"INFO"}, f"{count} cameras written to {path}.")
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_export_colmap)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_export_colmap)
