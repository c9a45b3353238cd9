# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture every avatar of the file, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from ..capture.avatar import avatar_names
from ..capture.batch import BatchJob
from ..capture.place import capture_folder
from ..capture.request import settings_from_panel
from ..folders import safe_name
from ._rendering import RenderOperator


class DIGIDOUBLE_OT_capture_all(RenderOperator, bpy.types.Operator):
    """Capture all avatars of this file with the same settings, each into a folder of its own"""

    bl_idname = "digidouble.capture_all"
    bl_label = "Capture All Avatars"
    bl_options = {"REGISTER"}

    folder: StringProperty(  # type: ignore[valid-type]
        name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"},
        description="Holds a folder for each avatar. Empty: beside the .blend file",
    )  # fmt: skip

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        if context.mode != "OBJECT":
            return "Go to object mode first (Tab)"
        if context.window_manager.digidouble.activity.running:
            return "Wait until the work in progress is done"
        return None if avatar_names() else "Set up an avatar first"

    def start(self, context: Any, *, waits: bool) -> BatchJob:
        """See MachineOperator."""
        place = Path(bpy.path.abspath(self.folder)) if self.folder else None
        jobs = []
        for name in avatar_names():
            folder = place / safe_name(name) if place else capture_folder(context, name)
            jobs.append((name, folder, settings_from_panel(context, name)))
        return BatchJob(jobs, context, waits=waits)

    def finish(self, context: Any, machine: Any) -> None:
        """See MachineOperator."""
        super().finish(context, machine)
        self.report({"INFO"}, f"{machine.done} avatars captured.")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_capture_all)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_capture_all)
