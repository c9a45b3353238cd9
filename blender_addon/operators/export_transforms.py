# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as transforms.json."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..capture.export import export_source, write_transforms
from ._export import ExportOperator


class DIGIDOUBLE_OT_export_transforms(ExportOperator, bpy.types.Operator):
    """Write the cameras as transforms.json for nerfstudio and other trainers, with or without a capture"""

    bl_idname = "digidouble.export_transforms"
    bl_label = "Export transforms.json"
    suggested, place = "transforms.json", "file"

    filepath: StringProperty(name="Path", subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        path = self.chosen_path()
        captured, _ = export_source(context, self.source)
        file = path if path.suffix else path / "transforms.json"
        self.tell(write_transforms(file, captured, self.source), path)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_export_transforms)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_export_transforms)
