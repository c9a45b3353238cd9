# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as a COLMAP model."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..capture.export import export_source, write_colmap_model
from ._export import ExportOperator


class DIGIDOUBLE_OT_export_colmap(ExportOperator, bpy.types.Operator):
    """Write cameras and points as a COLMAP text model for other trainers, with or without a capture"""

    bl_idname = "digidouble.export_colmap"
    bl_label = "Export COLMAP"
    suggested, place = "colmap", "folder"

    filepath: StringProperty(name="Path", subtype="DIR_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        path = self.chosen_path()
        captured, points = export_source(context, self.source)
        self.tell(write_colmap_model(path, captured, points), path)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_export_colmap)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_export_colmap)
