# SPDX-License-Identifier: GPL-3.0-or-later
"""The first panel: what is going on, and what went wrong."""

from __future__ import annotations

from typing import Any

import bpy

from ._base import Panel, sentence


class DIGIDOUBLE_PT_status(Panel, bpy.types.Panel):
    """Progress of the work inside Blender, and the last problem in words"""

    bl_idname = "DIGIDOUBLE_PT_status"
    bl_label = "Digidouble"
    bl_order = 0

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        session, layout = context.window_manager.digidouble, self.layout
        activity = session.activity
        if activity.running:
            row = layout.row(align=True)
            row.progress(factor=activity.fraction, text=f"{activity.title}: {activity.message or 'starting'}")
            row.operator("digidouble.stop", text="", icon="X")
        if session.problem:
            sentence(layout, session.problem, context.region.width, "ERROR", alert=True)
            if session.error_report:
                layout.operator("digidouble.copy_error_report", icon="COPYDOWN")
        if not activity.running and not session.problem:
            layout.label(text="Ready", icon="CHECKMARK")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_PT_status)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_PT_status)
