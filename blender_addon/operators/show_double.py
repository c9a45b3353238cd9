# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished double into the scene; called when a job is done, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..display.double import beside, settle, show_double
from ._base import Operator
from ._double import count_words


class DIGIDOUBLE_OT_show_double(Operator, bpy.types.Operator):
    """Bring a finished double into the scene, where its avatar stands, and have it move with the avatar"""

    bl_idname = "digidouble.show_double"
    bl_label = "Show Double"

    filepath: StringProperty(  # type: ignore[valid-type]
        name="Double", description="The double's folder, or its splat file", subtype="FILE_PATH"
    )
    capture: StringProperty(  # type: ignore[valid-type]
        name="Capture", description="Folder of the capture it was made from. Empty: looked for beside the double",
        subtype="DIR_PATH",
    )  # fmt: skip
    mode: EnumProperty(  # type: ignore[valid-type]
        name="Show As", items=[("POINTS", "Points", "Coloured dots"), ("SPLATS", "Splats", "As they are meant to look")]
    )
    hide_avatar: BoolProperty(  # type: ignore[valid-type]
        name="Hide the Avatar", description="The double takes the place of the avatar's mesh", default=True
    )

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        path = Path(bpy.path.abspath(self.filepath))
        captured = Path(bpy.path.abspath(self.capture)) if self.capture.strip() else beside(path)
        shown = show_double(path, captured, context.scene)
        settle(shown, captured, self.mode, self.hide_avatar, context)
        for note in shown.notes:
            self.report({"WARNING"}, note)  # type: ignore[attr-defined]
        follows = ", following its avatar" if shown.follows else ""
        self.report({"INFO"}, f"Double with {count_words(len(shown.item.data.points))}{follows}.")  # type: ignore[attr-defined]
        return None

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From a button: choose the folder or file; from a script or with a path: at once."""
        if self.filepath or bpy.app.background:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_show_double)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_show_double)
