# SPDX-License-Identifier: GPL-3.0-or-later
"""A double that learns what it hangs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors
from ..display.double import BINDING, follow_avatar
from ..display.edits import own
from ._double import DoubleOperator


class DIGIDOUBLE_OT_double_bind(DoubleOperator, bpy.types.Operator):
    """Hang the double on its avatar by the capture it was made from, so that it moves with bones and expressions"""

    bl_idname = "digidouble.double_bind"
    bl_label = "Bind to Avatar"

    directory: StringProperty(name="Capture", description="The capture's folder", subtype="DIR_PATH")  # type: ignore[valid-type]
    binding: StringProperty(  # type: ignore[valid-type]
        name="Binding", description="binding.npz of the double. Empty: hang each splat on the nearest surface",
        subtype="FILE_PATH",
    )  # fmt: skip

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        item = context.object
        folder = self.directory.strip() or item.digidouble.capture
        if not folder:
            raise errors.InputError("No capture was chosen.", "Choose the folder of the capture.")
        captured = Path(bpy.path.abspath(folder))
        birth = Path(bpy.path.abspath(self.binding)) if self.binding else captured.parent / "double" / BINDING
        own(item)
        for note in follow_avatar(item, birth, captured):
            self.report({"WARNING"}, note)  # type: ignore[attr-defined]
        item.digidouble.capture, item.digidouble.follow = str(captured), True
        item.digidouble.mode = item.digidouble.mode  # drawing comes after following
        return None

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From a button."""
        if self.directory or bpy.app.background:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_bind)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_bind)
