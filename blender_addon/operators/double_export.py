# SPDX-License-Identifier: GPL-3.0-or-later
"""A double to a splat file, edits and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from .._interchange import errors, splats
from ..display import edits, selection
from ..display.pointcloud import read_back
from ..folders import safe_name
from ..properties.double import look_of
from ._double import DoubleOperator, count_words

_PATTERN = ";".join(f"*{suffix}" for suffix in splats.SUFFIXES)


class DIGIDOUBLE_OT_double_export(DoubleOperator, bpy.types.Operator):
    """Write the double with its edits to a splat file; the name's ending is the format (.ply, .spz, .splat, .glb)"""

    bl_idname = "digidouble.double_export"
    bl_label = "Export Double"
    bl_options = {"REGISTER"}

    filepath: StringProperty(name="File", subtype="FILE_PATH")  # type: ignore[valid-type]
    check_existing: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_glob: StringProperty(default=_PATTERN, options={"HIDDEN"})  # type: ignore[valid-type]
    posed: BoolProperty(  # type: ignore[valid-type]
        name="As Posed", description="In the avatar's present pose and the object's place, instead of as captured"
    )
    only_shown: BoolProperty(  # type: ignore[valid-type]
        name="Only What Is Shown", description="Leave out what crop box, opacity and size hide", default=True
    )

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        item = context.object
        if not self.filepath.strip():
            raise errors.InputError("No file was named.", "Choose a name that ends in .ply, .spz, .splat or .glb.")
        path = Path(bpy.path.abspath(self.filepath))
        splats.format_of(path)  # may say no, before anything is computed
        cloud = edits.posed_cloud(item, context) if self.posed else read_back(item)
        if self.only_shown:
            mask = selection.shown(item, look_of(item))
            if not mask.any():
                raise errors.InputError("No splat is shown, so none would be written.", "Lower the thresholds.")
            cloud = cloud if mask.all() else cloud.subset(mask)
        for note in splats.write_splats(path, cloud):
            self.report({"WARNING"}, note)  # type: ignore[attr-defined]
        self.report({"INFO"}, f"Wrote {count_words(len(cloud))} to {path.name}.")  # type: ignore[attr-defined]
        return None

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From a button: choose the file."""
        if bpy.app.background:
            return self.execute(context)
        if not self.filepath:
            self.filepath = f"{safe_name(context.object.name)}.ply"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_export)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_export)
