# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > Gaussian Splats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ImportHelper

from .._interchange import errors, splats
from ..display.pointcloud import add_splats

_PATTERN = ";".join(f"*{suffix}" for suffix in splats.SUFFIXES)


class DIGIDOUBLE_OT_import_splats(bpy.types.Operator, ImportHelper):
    """Bring a splat file into the scene as a point cloud"""

    bl_idname = "digidouble.import_splats"
    bl_label = "Import Gaussian Splats"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".ply"
    filter_glob: StringProperty(default=_PATTERN, options={"HIDDEN"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        """Import `filepath`; what is wrong with the file is reported in one sentence."""
        path = Path(self.filepath)
        try:
            cloud = splats.read_splats(path)
        except errors.InputError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finite = cloud.finite()
        context.view_layer.objects.active = add_splats(cloud.subset(finite), context.scene, path.stem)
        broken = len(cloud) - int(finite.sum())
        self.report({"INFO"}, f"Imported {len(cloud) - broken} splats.")
        if broken:
            self.report({"WARNING"}, f"{broken} splats with NaN or infinite numbers were left out.")
        return {"FINISHED"}


def _menu(self: Any, context: Any) -> None:
    self.layout.operator(DIGIDOUBLE_OT_import_splats.bl_idname, text="Gaussian Splats (.ply, .spz, .splat, .glb)")


def register() -> None:
    """Add the operator and its menu entry."""
    bpy.utils.register_class(DIGIDOUBLE_OT_import_splats)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    """Take both away."""
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    bpy.utils.unregister_class(DIGIDOUBLE_OT_import_splats)
