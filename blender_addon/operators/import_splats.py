# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > Gaussian Splats, and splat files that are dropped into the 3D view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from .._interchange import errors, splats
from ..display.double import name_for, select_only
from ..display.pointcloud import add_splats
from ._base import Operator
from ._double import count_words

_PATTERN = ";".join(f"*{suffix}" for suffix in splats.SUFFIXES)


class DIGIDOUBLE_OT_import_splats(Operator, bpy.types.Operator, ImportHelper):
    """Bring splat files of any kind into the scene as point clouds"""

    bl_idname = "digidouble.import_splats"
    bl_label = "Import Gaussian Splats"

    filename_ext = ".ply"
    filter_glob: StringProperty(default=_PATTERN, options={"HIDDEN"})  # type: ignore[valid-type]
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    mode: EnumProperty(  # type: ignore[valid-type]
        name="Show As", items=[("POINTS", "Points", "Coloured dots"), ("SPLATS", "Splats", "As they are meant to look")]
    )

    def run(self, context: Any) -> set[str] | None:
        """Import all chosen files, or `filepath`; those before one that is no splat file stay in the scene."""
        chosen = [Path(self.directory) / file.name for file in self.files if file.name]
        if not chosen and not self.filepath:
            raise errors.InputError("No file was chosen.", f"Splat files end in {', '.join(splats.SUFFIXES)}.")
        for path in chosen or [Path(bpy.path.abspath(self.filepath))]:
            self._bring(context, path)
        return None

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From the menu: choose files; dropped files are chosen already."""
        if self.directory and self.files:
            return self.execute(context)
        return ImportHelper.invoke(self, context, event)

    def _bring(self, context: Any, path: Path) -> None:
        cloud = splats.read_splats(path)
        finite = cloud.finite()
        broken = len(cloud) - int(finite.sum())
        item = add_splats(cloud.subset(finite) if broken else cloud, context.scene, name_for(path))
        if self.mode != "POINTS":
            item.digidouble.mode = self.mode
        select_only(item, context)
        self.report({"INFO"}, f"Imported {count_words(len(cloud) - broken)}.")  # type: ignore[attr-defined]
        if broken:
            self.report({"WARNING"}, f"{count_words(broken)} with NaN or infinite numbers left out.")  # type: ignore[attr-defined]


class DIGIDOUBLE_FH_splats(bpy.types.FileHandler):
    """Takes splat files that are dropped into the 3D view"""

    bl_idname = "DIGIDOUBLE_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = "digidouble.import_splats"
    bl_file_extensions = ".ply;.spz;.splat"  # .glb belongs to Blender's own importer; it is read from the menu

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        """Called by Blender while files hover."""
        return context.area is not None and context.area.type == "VIEW_3D"


def _menu(self: Any, context: Any) -> None:
    self.layout.operator(DIGIDOUBLE_OT_import_splats.bl_idname, text="Gaussian Splats (.ply, .spz, .splat, .glb)")


def register() -> None:
    """Add the operator, its menu entry and the dropping of files."""
    bpy.utils.register_class(DIGIDOUBLE_OT_import_splats)
    bpy.utils.register_class(DIGIDOUBLE_FH_splats)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    """Take all of it away."""
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    bpy.utils.unregister_class(DIGIDOUBLE_FH_splats)
    bpy.utils.unregister_class(DIGIDOUBLE_OT_import_splats)
