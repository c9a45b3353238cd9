# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the avatar from all sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from ..capture.avatar import avatar_names
from ..capture.capture import CaptureJob
from ..capture.place import capture_folder
from ..capture.request import settings_from_panel
from ._rendering import RenderOperator


class DIGIDOUBLE_OT_capture(RenderOperator, bpy.types.Operator):
    """Render the avatar from all cameras into the capture folder. ESC stops; pressed again, it goes on"""

    bl_idname = "digidouble.capture"
    bl_label = "Capture"
    bl_options = {"REGISTER"}

    folder: StringProperty(  # type: ignore[valid-type]
        name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"}, description="Where to. Empty: as the panel says"
    )
    avatar: StringProperty(  # type: ignore[valid-type]
        name="Avatar", options={"SKIP_SAVE"}, description="The avatar's collection. Empty: as the panel says"
    )

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        if context.mode != "OBJECT":
            return "Go to object mode first (Tab)"
        if context.window_manager.digidouble.activity.running:
            return "Wait until the work in progress is done"
        return None if avatar_names() else "Set up an avatar first"

    def start(self, context: Any, *, waits: bool) -> CaptureJob:
        """See MachineOperator."""
        settings = settings_from_panel(context, self.avatar or None)
        folder = Path(bpy.path.abspath(self.folder)) if self.folder else capture_folder(context, self.avatar or None)
        return CaptureJob(folder, settings, context, waits=waits)

    def finish(self, context: Any, machine: Any) -> None:
        """See MachineOperator."""
        super().finish(context, machine)
        if machine.pace is not None:
            context.scene.digidouble.capture.pace = machine.pace
        count, new = len(machine.manifest.views), len(machine.rendered)
        kept = f" ({count - new} were there already)" if new < count else ""
        self.report({"INFO"}, f"{count} views captured{kept}.")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_capture)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_capture)
